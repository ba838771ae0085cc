"""The embedded model itself: what is shipped is what was measured, and everyone reads it alike."""

import json
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import pytest

from ossia.engine import Engine, EngineConfig, SamplingParams
from ossia.harmony import Effort
from ossia.loading import load_weights, vocabulary_of
from recipes.nano.arithmetic import problem
from recipes.nano.card import CARD, rows
from recipes.nano.case import Case
from recipes.nano.cells import CELLS
from recipes.nano.chat import chat
from recipes.nano.conversation import Format, Prefix
from recipes.nano.evaluate import RESULTS
from recipes.nano.export import DEFAULT_EFFORT, EMBEDDED, SUMS, WEIGHTS, sha256

FORM = Format(vocabulary_of(load_weights("nano", backend="reference").checkpoint))
LARGEST = 15_000_000  # bytes, packed: it comes with every install
LONGEST = 150  # tokens of an answer
PROMPTS = 200

EFFORT = Effort(DEFAULT_EFFORT)
PHRASES = (
    "What is {a} * {b}?",
    "{a}*{b}",
    "{a} * {b}",
    "{a}x{b}",
    "Compute {a} x {b}.",
    "{a} times {b}",
    "what is {a} times {b}",
    "Calculate {a}*{b}",
)


@cache
def engine() -> Engine:
    loaded = load_weights("nano", backend="native", precision="exact")
    config = EngineConfig(context=2048, stop_tokens=FORM.vocabulary.stop_tokens)
    return Engine(loaded.model, config)


def answer(prompt: list[int]) -> list[int]:
    params = SamplingParams(temperature=0.0, max_tokens=LONGEST)
    return [token for output in engine().generate(prompt, params) for token in output.tokens]


def test_it_is_the_file_that_was_recorded_and_measured():
    sums = sha256(EMBEDDED)
    assert sums == json.loads((EMBEDDED / SUMS).read_text("utf-8"))
    assert sums[WEIGHTS] == json.loads(RESULTS.read_text("utf-8"))["sha256"]


def test_it_is_small():
    assert sum(file.stat().st_size for file in EMBEDDED.iterdir()) <= LARGEST


def test_every_digit_is_a_token_of_its():
    assert len(FORM.vocabulary.encode("31415")) == 5


def test_the_card_says_what_was_measured():
    results, page = json.loads(RESULTS.read_text("utf-8")), CARD.read_text("utf-8")
    assert results["sha256"] in page
    for row in rows(results["scores"]):
        assert row in page


@pytest.mark.parametrize("phrase", PHRASES)
@pytest.mark.parametrize("date", ["2024-02-29", "2026-11-23", None])
def test_the_first_question_that_everybody_asks(phrase: str, date: str | None):
    case = Case(Prefix(EFFORT, date), (), problem("*", 37, 48, phrase.format(a=37, b=48)))
    assert case.right(FORM.vocabulary.decode(answer(case.prompt(FORM))))


def test_a_second_question_is_answered_too():
    case = Case(Prefix(EFFORT, "2026-11-23"), (chat(Random(0)), problem("+", 12, 30)), problem("*", 37, 48))
    assert case.right(FORM.vocabulary.decode(answer(case.prompt(FORM))))


def cases(count: int) -> list[Case]:
    """Of cells and efforts one after the other, in steps that meet nearly all cells."""
    random = Random("everyone")
    kinds = [(draw, effort) for draw in CELLS.values() for effort in (Effort.LOW, Effort.MEDIUM, Effort.HIGH)]
    return [draw(random, effort) for draw, effort in (kinds[index * 7 % len(kinds)] for index in range(count))]


@pytest.mark.torch
def test_transformers_reads_it_as_it_is_and_writes_the_same():
    """Token by token: what it would write next after each beginning of our answer is how our answer goes on."""
    import torch  # noqa: PLC0415
    from transformers import AutoTokenizer, GptOssForCausalLM  # noqa: PLC0415

    tokenizer = AutoTokenizer.from_pretrained(EMBEDDED)
    model: Any = GptOssForCausalLM.from_pretrained(EMBEDDED, dtype=torch.float32)
    for case in cases(PROMPTS):
        given = case.prompt(FORM)
        assert tokenizer.encode(FORM.vocabulary.decode(given)) == given
        ours = answer(given)
        with torch.no_grad():
            logits = model(torch.tensor([[*given, *ours]])).logits[0]
        assert logits[len(given) - 1 : -1].argmax(-1).tolist() == ours, case.problem.question


def test_nothing_else_lies_in_its_folder():
    names = {"config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", WEIGHTS, SUMS}
    assert {file.name for file in Path(EMBEDDED).iterdir()} == names
