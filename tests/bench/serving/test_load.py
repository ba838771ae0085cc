"""Figures of rounds, on arrivals whose figures are plain."""

import pytest

from bench.serving.load import Work, ahead, figures_of, summary


def test_figures_of_a_round():
    # Two clients of four tokens: the first token after 1 and 3 seconds, then one each half and each whole second.
    arrivals = [[(1.0, 1), (1.5, 1), (2.0, 2)], [(3.0, 1), (3.5, 0), (4.0, 1), (6.0, 2)]]
    found = figures_of(arrivals, 4)
    assert found["tokens_per_second"] == 8 / 6.0
    assert found["first_token_ms"] == 2000.0
    assert found["token_ms"] == pytest.approx((1000 / 3 + 1000) / 2)


def test_a_round_without_all_its_tokens_is_none():
    with pytest.raises(RuntimeError, match="3 tokens came where 4 were asked for"):
        figures_of([[(1.0, 3)]], 4)


def test_ours_is_ahead_when_it_is_faster_and_when_it_takes_less():
    ours = [{"tokens_per_second": 30.0, "first_token_ms": 10.0, "token_ms": 5.0, "processor_ms": 1.0}] * 2
    theirs = [
        {"tokens_per_second": 10.0, "first_token_ms": 40.0, "token_ms": 4.0, "processor_ms": 2.0},
        {"tokens_per_second": 15.0, "first_token_ms": 20.0, "token_ms": 6.0, "processor_ms": 4.0},
    ]
    found = ahead(ours, theirs)
    assert found["tokens_per_second"] == {"median": 2.5, "least": 2.0, "most": 3.0}
    assert found["first_token_ms"] == {"median": 3.0, "least": 2.0, "most": 4.0}
    assert found["token_ms"] == {"median": 1.0, "least": 0.8, "most": pytest.approx(1.2)}
    assert summary(theirs)["token_ms"] == {"median": 5.0, "least": 4.0, "most": 6.0}


def test_no_round_brings_a_prompt_of_another():
    work = Work(prompt=8, generate=1, vocabulary=1000)
    rounds = [work.prompts(clients, number) for clients in (1, 4) for number in range(3)]
    prompts = [tuple(prompt) for each in rounds for prompt in each]
    assert len(set(prompts)) == len(prompts) == 15
    assert work.prompts(4, 2) == rounds[-1]
