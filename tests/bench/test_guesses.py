"""What guesses gain: counted right, and answers as they were."""

import numpy as np
import pytest

from bench import guesses
from ossia.engine import Engine, EngineConfig
from ossia.loading import load_weights


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine(load_weights("nano", threads=1).model, EngineConfig(context=256, max_requests=1))


def test_right_guesses_save_steps_and_wrong_ones_none(engine: Engine, capsys: pytest.CaptureFixture[str]):
    rows = guesses.measured(engine, [5, 6, 7], count=13, lengths=[1, 3], shares=[0.0, 1.0])
    found = {(row["length"], row["right"]): row["tokens_per_step"] for row in rows}
    # Twelve tokens after the first, one a step, or two, or four.
    assert found == {(1, 0.0): 1, (1, 1.0): 2, (3, 0.0): 1, (3, 1.0): 4}
    assert len(capsys.readouterr().out.splitlines()) == 4
    # Time for each token is the time for each step over the tokens that it brings.
    assert all(row["gain"] == pytest.approx(row["tokens_per_step"] / row["step_cost"]) for row in rows)


def test_an_answer_that_guesses_changed_would_be_noticed(engine: Engine, monkeypatch: pytest.MonkeyPatch):
    answers = iter([[1, 2, 3], [1, 2, 3], [1, 2, 4]])
    monkeypatch.setattr(guesses, "answer", lambda *_: guesses.Answer(next(answers), 1.0, 2))
    with pytest.raises(SystemExit, match="guesses changed the answer"):
        guesses.measured(engine, [5], count=3, lengths=[1], shares=[1.0])


def test_an_oracle_is_right_as_often_as_told():
    text = list(range(10_000))
    for right in (0.0, 0.7, 1.0):
        oracle = guesses.Oracle(text, most=4, right=right)
        right_ones = [
            token == at + place for at in range(0, 9000, 4) for place, token in enumerate(oracle.propose(text[:at]))
        ]
        share = np.mean(right_ones)
        assert share == pytest.approx(right, abs=0.02)
