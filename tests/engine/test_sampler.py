"""What a row is drawn with: biases, penalties, masks, keys; and the shape of log-probabilities."""

import numpy as np
import pytest

from ossia.engine import LoadedModel, SamplingParams
from ossia.engine.prefix import Holding
from ossia.engine.request import Request, Share
from ossia.engine.sampler import Row, Sampler
from tests.engine.traffic import Pattern

VOCABULARY = 53


def sampler(model: LoadedModel) -> Sampler:
    return Sampler(model)


def request(prompt: int = 3, places: list[list[int]] | None = None, **params: object) -> Request:
    return Request(
        0,
        Holding(list(range(prompt)), b"", 4),
        SamplingParams.from_dict(params),
        seed=2**64 - 1,
        max_tokens=20,
        stop_tokens=frozenset(),
        vocab_size=53,
        grammar=Pattern(places) if places is not None else None,
    )


def bits(mask: np.ndarray) -> list[int]:
    return np.flatnonzero(np.unpackbits(mask.view(np.uint8), bitorder="little")).tolist()


def drafting(made: Request, *ahead: int) -> Request:
    made.ahead, made.forced = ahead, False
    return made


def test_a_row_is_keyed_by_its_seed_and_its_place_in_the_request(counting: LoadedModel):
    made = drafting(request(), 4, 5)
    draw = sampler(counting).wanted([Row(made, 0, 0), Row(made, 1, 1), Row(made, 2, 2), Row(request(7), 3, 0)])
    assert draw.position.tolist() == [3, 4, 5, 7]
    assert draw.seed.tolist() == [2**64 - 1] * 4
    assert (draw.mask, draw.logprobs, draw.bias_starts.tolist()) == (None, False, [0] * 5)


def test_rows_of_a_step_follow_its_shares(counting: LoadedModel):
    first, second, third = drafting(request(), 4, 5), request(9), request()
    rows = sampler(counting).rows([Share(first, 2, 5), Share(second, 0, 6), Share(third, 0, 3)])
    assert rows == [Row(first, 0, 0), Row(first, 1, 1), Row(first, 2, 2), Row(third, 11, 0)]


@pytest.mark.parametrize(("logprobs", "places"), [(None, [2]), (0, [0, 1, 2])])
def test_a_forced_token_needs_logits_only_for_its_logprob(
    counting: LoadedModel, logprobs: int | None, places: list[int]
):
    made = request(places=[[9], [8], [1, 2]], logprobs=logprobs)
    assert [row.place for row in sampler(counting).rows([Share(made, 0, 5)])] == places


def test_penalties_count_the_answer_and_the_tokens_ahead(counting: LoadedModel):
    made = request(frequency_penalty=0.5, presence_penalty=0.25, logit_bias={6: 2.0, 1: -1.0})
    made.extend([6, 6, 7])
    drafting(made, 7, 8)
    draw = sampler(counting).wanted([Row(made, 0, 0), Row(made, 1, 1), Row(made, 2, 2)])
    found = [
        dict(zip(draw.bias_tokens[start:end].tolist(), draw.bias_values[start:end].tolist(), strict=True))
        for start, end in zip(draw.bias_starts[:-1], draw.bias_starts[1:], strict=True)
    ]
    assert found == [
        {6: 2.0 - 1.25, 1: -1.0, 7: -0.75},
        {6: 2.0 - 1.25, 1: -1.0, 7: -1.25},
        {6: 2.0 - 1.25, 1: -1.0, 7: -1.25, 8: -0.75},
    ]


def test_masks_follow_the_grammar_through_a_draft_and_leave_it_where_it_was(counting: LoadedModel):
    made = drafting(request(places=[[3, 4], [5, 40], [6, 52], [7, 8]]), 4, 40, 9, 7)
    draw = sampler(counting).wanted([Row(made, place, place) for place in range(5)])
    assert draw.mask is not None
    assert (draw.mask.shape, draw.mask.dtype) == ((5, 2), np.int32)
    # 9 may not come third: what follows it will not be looked at.
    assert [bits(mask) for mask in draw.mask[:3]] == [[3, 4], [5, 40], [6, 52]]
    assert [len(bits(mask)) for mask in draw.mask[3:]] == [64, 64]
    assert isinstance(made.grammar, Pattern)
    assert made.grammar.at == 0


def test_masks_allow_a_forced_token_alone_and_then_what_follows(counting: LoadedModel):
    made = request(places=[[31], [32], [1, 2]], logprobs=0)
    draw = sampler(counting).wanted([Row(made, place, place) for place in range(3)])
    assert draw.mask is not None
    assert [bits(mask) for mask in draw.mask] == [[31], [32], [1, 2]]


def test_a_forced_row_left_out_is_still_heard_by_the_grammar(counting: LoadedModel):
    made = request(places=[[31], [32], [1, 2]])
    draw = sampler(counting).wanted(sampler(counting).rows([Share(made, 0, 5)]))
    assert draw.mask is not None
    assert [bits(mask) for mask in draw.mask] == [[1, 2]]


def test_requests_without_a_grammar_are_open(counting: LoadedModel):
    draw = sampler(counting).wanted([Row(request(), 0, 0), Row(request(places=[[1, 2]]), 1, 0), Row(request(), 2, 0)])
    assert draw.mask is not None
    assert [len(bits(mask)) for mask in draw.mask] == [64, 2, 64]


def test_each_row_gets_the_alternatives_it_asked_for(counting: LoadedModel, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(counting.ops, "linear", lambda x, _: x)  # what is read out are the logits themselves
    logits = np.log(np.arange(1, VOCABULARY + 1, dtype=np.float32))[None].repeat(3, axis=0)
    total = VOCABULARY * (VOCABULARY + 1) / 2
    rows = [Row(request(logprobs=count, temperature=0.0), index, 0) for index, count in enumerate((None, 0, 3))]
    plain, own, top = sampler(counting).draw(logits, rows)
    assert [choice.token for choice in (plain, own, top)] == [VOCABULARY - 1] * 3
    assert plain.logprob is None
    assert own.logprob is not None
    assert own.logprob.top == ()
    # log-sum-exp of V float32 terms: relative error below V + 2 roundings of 2^-24 each, in units of the log itself.
    assert abs(own.logprob.logprob - np.log(VOCABULARY / total)) <= (VOCABULARY + 2) * 2**-24 * 8
    assert top.logprob is not None
    assert [token for token, _ in top.logprob.top] == [52, 51, 50]
    assert top.logprob.top[0][1] == own.logprob.logprob


def test_a_row_that_allows_nothing_draws_nothing(counting: LoadedModel):
    [choice] = sampler(counting).draw(np.zeros((1, 2), np.float32), [Row(request(places=[]), 0, 0)])
    assert choice.token == -1
