from random import Random

import pytest

from ossia.harmony import Conversation, Effort, Message, render
from recipes.nano.arithmetic import problem
from recipes.nano.conversation import Format, Prefix, turn, vocabulary
from recipes.nano.mixture import Mixture, draw_prefix, draw_problem
from recipes.nano.weather import weather

FORM = Format(vocabulary())
EFFORTS = [Effort.NONE, Effort.LOW, Effort.MEDIUM, Effort.HIGH]


def said(prefix: Prefix, question: str, history: tuple[tuple[str, str], ...] = ()) -> tuple[Message, ...]:
    earlier = [
        message
        for asked, answer in history
        for message in (Message("user", asked), Message("assistant", answer, channel="final"))
    ]
    return (*prefix.messages, *earlier, Message("user", question))


@pytest.mark.parametrize("effort", EFFORTS)
@pytest.mark.parametrize("tools", [True, False])
def test_a_prompt_is_what_render_makes_for_a_completion(effort: Effort, tools: bool):
    prefix = Prefix(effort, "2026-11-23", "Be brief." if tools else None, tools)
    history = [problem("+", 2, 3), problem("*", 4, 5)]
    spoken = tuple((earlier.question, earlier.answer) for earlier in history)
    ours = FORM.prefix(prefix) + FORM.prompt(history, "37 * 48", effort)
    assert ours == render(Conversation(said(prefix, "37 * 48", spoken)), FORM.vocabulary, as_="completion")


@pytest.mark.parametrize("effort", EFFORTS[1:])
@pytest.mark.parametrize("tools", [True, False])
def test_a_document_is_what_render_makes_for_training(effort: Effort, tools: bool):
    prefix = Prefix(effort, "2025-01-01", tools=tools)
    one = weather(Random(3), held=False) if tools else problem("-", 512, 88)
    document = FORM.document([], one, effort)
    whole = Conversation((*said(prefix, one.question), *turn(one, effort)))
    rendered = render(whole, FORM.vocabulary, as_="training", drop_analysis=False)
    assert FORM.prefix(prefix) + list(document.tokens) == rendered


def test_what_the_model_writes_is_learned_and_nothing_else():
    one = weather(Random(3), held=False)
    assert one.tool is not None
    document = FORM.document([problem("+", 1, 2)], one, Effort.LOW)
    learned = [token for token, own in zip(document.tokens, document.learned, strict=True) if own]
    assert FORM.vocabulary.decode(learned) == (
        f" to=functions.get_weather<|channel|>commentary <|constrain|>json<|message|>{one.tool.arguments}<|call|>"
        f"<|channel|>final<|message|>{one.answer}<|return|>"
    )


def test_a_prompt_ends_where_learning_begins():
    one = problem("*", 37, 48)
    for effort in EFFORTS:
        document = FORM.document([], one, effort)
        begin = document.learned.index(True)
        assert list(document.tokens[:begin]) == FORM.prompt([], one.question, effort)


def test_every_digit_is_a_token():
    assert len(FORM.vocabulary.encode("31415")) == 5


def test_a_step_is_the_same_whenever_it_is_made():
    one, again = Mixture(FORM, 100), Mixture(FORM, 100)
    assert one(7, 1).tokens.tolist() == again(7, 1).tokens.tolist()
    assert one(7, 1).tokens.tolist() != one(7, 0).tokens.tolist()
    assert one(8, 1).tokens.tolist() != one(7, 1).tokens.tolist()


def test_a_batch_has_about_the_tokens_asked_for():
    mixture = Mixture(FORM, 100, tokens=2048)
    sizes = [len(mixture(step, 0).tokens) for step in range(20)]
    assert min(sizes) >= 2048
    # The last document of each of two groups may go beyond, by its own length.
    assert max(sizes) < 2048 + 2 * 500


def test_at_the_end_every_prefix_is_a_real_system_message():
    mixture = Mixture(FORM, 100)
    identity = FORM.vocabulary.encode("You are ChatGPT")
    start = len(FORM.vocabulary.encode("system")) + 2

    def whole(step: int) -> list[bool]:
        batch = mixture(step, 0)
        return [
            batch.tokens[rows.start + start :][: len(identity)].tolist() == identity
            for rows in (prefix for prefix, _ in batch.spans)
        ]

    assert all(flag for step in range(60, 100) for flag in whole(step))
    assert not all(flag for step in range(20) for flag in whole(step))


def test_dates_and_tools_vary():
    random = Random(0)
    prefixes = [draw_prefix(random, Effort.HIGH) for _ in range(200)]
    assert len({prefix.date for prefix in prefixes}) > 100
    assert {prefix.tools for prefix in prefixes} == {True, False}
    assert any(prefix.date is None for prefix in prefixes)


def test_without_the_tool_nothing_needs_it():
    random = Random(0)
    assert not any(draw_problem(random, tools=False).tool for _ in range(300))
    assert any(draw_problem(random, tools=True).tool for _ in range(20))


def test_a_group_has_a_document_however_long_its_prefix():
    mixture = Mixture(FORM, 100, tokens=64, full_at_first=1.0)
    for step in range(30):
        assert all(len(starts) > 1 for _, starts in mixture(step, 0).spans)
