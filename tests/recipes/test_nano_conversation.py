from random import Random

import pytest

from ossia.harmony import Conversation, Effort, Message, render
from recipes.nano.arithmetic import problem
from recipes.nano.conversation import Format, Prefix, turn, vocabulary
from recipes.nano.functions import Toolset
from recipes.nano.mixture import SHARED, Mixture, draw_problem, draw_setting
from recipes.nano.structured import Form
from recipes.nano.weather import DECLARATION, weather

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
    form = Form(Random(1), held=False).response_format() if tools else None
    prefix = Prefix(effort, "2026-11-23", "Be brief." if tools else None, [DECLARATION] if tools else (), form)
    history = [problem("+", 2, 3), problem("*", 4, 5)]
    spoken = tuple((earlier.question, earlier.answer) for earlier in history)
    ours = FORM.prefix(prefix) + FORM.prompt(history, problem("*", 37, 48, "37 * 48"), effort)
    assert ours == render(Conversation(said(prefix, "37 * 48", spoken)), FORM.vocabulary, as_="completion")


@pytest.mark.parametrize("effort", EFFORTS[1:])
@pytest.mark.parametrize("tools", [True, False])
def test_a_document_is_what_render_makes_for_training(effort: Effort, tools: bool):
    prefix = Prefix(effort, "2025-01-01", functions=[DECLARATION] if tools else ())
    one = weather(Random(3), held=False) if tools else problem("-", 512, 88)
    document = FORM.document([], one, effort)
    whole = Conversation((*said(prefix, one.question), *turn(one, effort)))
    rendered = render(whole, FORM.vocabulary, as_="training", drop_analysis=False)
    assert FORM.prefix(prefix) + list(document.tokens) == rendered


def test_what_the_model_writes_is_learned_and_nothing_else():
    one = weather(Random(3), held=False)
    document = FORM.document([problem("+", 1, 2)], one, Effort.LOW)
    learned = [token for token, own in zip(document.tokens, document.learned, strict=True) if own]
    assert FORM.vocabulary.decode(learned) == (
        f" to=functions.get_weather<|channel|>commentary <|constrain|>json<|message|>{one.calls[0].arguments}<|call|>"
        f"<|channel|>final<|message|>{one.answer}<|return|>"
    )


def test_a_prompt_ends_where_learning_begins():
    one = problem("*", 37, 48)
    for effort in EFFORTS:
        document = FORM.document([], one, effort)
        begin = document.learned.index(True)
        assert list(document.tokens[:begin]) == FORM.prompt([], one, effort)


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


@pytest.mark.parametrize("full", [True, False])
def test_what_the_system_wishes_stands_in_its_message(full: bool):
    prefix = Prefix(Effort.HIGH, instructions="Say b.", wish="Say a.", full=full)
    text = FORM.vocabulary.decode(FORM.prefix(prefix))
    assert (
        text.index("<|start|>system") < text.index("Say a.") < text.index("<|start|>developer") < text.index("Say b.")
    )


def test_settings_vary():
    random = Random(0)
    prefixes = [draw_setting(random, Effort.HIGH).prefix for _ in range(300)]
    assert len({prefix.date for prefix in prefixes}) > 150
    assert any(prefix.date is None for prefix in prefixes)
    assert {bool(prefix.functions) for prefix in prefixes} == {True, False}
    assert {bool(prefix.form) for prefix in prefixes} == {True, False}
    assert {bool(prefix.instructions) for prefix in prefixes} == {True, False}


def test_what_is_called_is_declared():
    random = Random(0)
    assert not any(draw_problem(random).calls for _ in range(300))
    for _ in range(100):
        setting = draw_setting(random, Effort.HIGH)
        declared = {one["name"] for one in setting.prefix.functions}
        assert {use.function for use in setting.draw(random).calls} <= declared


def test_a_wide_mixture_has_every_skill_after_its_first_part():
    random = Random(0)
    narrow = {draw_problem(random).cell for _ in range(2000)}
    wide = {draw_problem(random, wide=True).cell for _ in range(4000)}
    first = {draw_problem(random, first=True, wide=True).cell for _ in range(1000)}
    for begin in (
        "division 6 by 3",
        "fraction",
        "percentage",
        "sort",
        "unit",
        "weekday",
        "truth",
        "conclusion",
        "spell",
    ):
        assert any(cell.startswith(begin) for cell in wide), begin
        assert not any(cell.startswith(begin) for cell in narrow | first), begin
    assert any(cell.startswith("known") for cell in wide)
    assert any(cell.startswith("story, 4 steps") for cell in wide)


def test_skills_and_settings_have_other_shares_if_so_asked():
    random = Random(0)
    shares = (("ordering", 400.0), ("sums", 0.0), ("long_sums", 0.0))
    cells = [draw_problem(random, wide=True, shares=shares).cell for _ in range(400)]
    # By tokens, ordering has 400 of some 565; a problem of it has more of them than one of the others on average.
    assert 0.2 < sum(cell.startswith("sort") for cell in cells) / 400 < 0.7
    assert not any(cell.startswith(("addition", "subtraction", "multiplication")) for cell in cells)
    only = (("form", 1.0), *((name, 0.0) for name in SHARED if name != "form"))
    assert all(draw_setting(random, Effort.HIGH, wide=True, shares=only).prefix.form for _ in range(50))
    # What all others stand on is learned first, as ever.
    first = (draw_setting(random, Effort.HIGH, first=True, wide=True, shares=only) for _ in range(50))
    assert not any(setting.prefix.form for setting in first)


def test_every_share_has_a_name_of_its_own():
    assert len(set(SHARED)) == len(SHARED)
    assert {"ordering", "sums", "chat", "plain", "browser"} <= set(SHARED)


def test_built_in_tools_are_called_where_they_are_and_are_not_doubted():
    random, called = Random(0), set()
    for _ in range(400):
        setting = draw_setting(random, Effort.HIGH, wide=True)
        there = {tool.name for tool in setting.prefix.builtin}
        one = setting.draw(random)
        used = {use.recipient.split(".")[0] for use in one.calls if use.builtin}
        assert used <= there
        called |= used
        assert not ("python" in there and one.cell in ("too large", "other arithmetic"))
        assert not ("browser" in there and one.cell.startswith(("unknown", "not known")))
    assert called == {"python", "browser"}
    assert not any(draw_setting(random, Effort.HIGH).prefix.builtin for _ in range(200))


@pytest.mark.parametrize("full", [0.0, 1.0])
def test_a_step_of_a_wide_mixture_is_made(full: float):
    mixture = Mixture(FORM, 100, tokens=512, full_at_first=full, full_from=2.0, wide=True)
    assert all(len(mixture(step, 0).targets) for step in range(30, 60))


def test_calls_follow_each_other_and_the_answer_them():
    toolset = Toolset(Random(0), held=False)
    while len((one := toolset.double(Random(7))).calls) != 2:
        toolset = Toolset(Random(one.question), held=False)
    said = list(turn(one, Effort.HIGH))
    assert [message.role for message in said] == ["assistant", "assistant", "tool", "assistant", "tool", "assistant"]
    assert [message.channel for message in said][-1] == "final"


def test_a_group_has_a_document_however_long_its_prefix():
    mixture = Mixture(FORM, 100, tokens=64, full_at_first=1.0)
    for step in range(30):
        assert all(len(starts) > 1 for _, starts in mixture(step, 0).spans)
