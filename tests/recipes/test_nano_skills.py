"""The skills of whole numbers beyond one operation: division, comparison, expressions, stories."""

import re
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ossia.harmony import Effort
from recipes.nano.comparison import comparison
from recipes.nano.division import by_zero, divided, division, long_division
from recipes.nano.expressions import NAMES, story
from recipes.nano.problem import Problem
from recipes.nano.prose import prose
from recipes.nano.stories import long_story
from recipes.nano.words import WORDS

MANY = 300


def drawn(draw: object, held: bool) -> list[Problem]:
    random = Random(0)
    return [draw(random, held=held) for _ in range(MANY)]  # type: ignore[operator] # the skills themselves


@given(st.integers(0, 999_999), st.integers(1, 9))
def test_every_step_of_a_division_holds(a: int, b: int):
    text = divided(a, b, Effort.HIGH)
    rest = 0
    for before, digit, quotient, left in re.findall(r"[a-f](\d)(\d)=(\d)r(\d)", text):
        assert int(before) == rest
        assert divmod(10 * rest + int(digit), b) == (int(quotient), int(left))
        rest = int(left)
    assert text.endswith(f"\n={a // b}r{a % b}")
    assert int("".join(re.findall(r"(\d)r", divided(a, b, Effort.MEDIUM)))) == a // b


@given(st.integers(0, 999_999), st.integers(10, 999))
def test_every_step_of_a_long_division_holds(a: int, b: int):
    text = divided(a, b, Effort.HIGH)
    for x, y, carry, total in re.findall(r"[xyz](\d)\*(\d)\+(\d)=(\d\d)", text):
        assert int(x) * int(y) + int(carry) == int(total)
    for x, y, borrow, new, digit in re.findall(r"[pqrs](\d)[tuvw](\d)-(\d)=(\d)(\d)", text):
        assert int(x) - int(y) - int(borrow) == int(digit) - 10 * int(new)
    for total, leading, guess in re.findall(r":((?:[pqrs]\d)+)/(\d+)=(\d)", text):
        number = int("".join(re.findall(r"\d", total)))
        shown = number // 10 ** (len(str(b)) - len(leading))
        assert int(guess) == min(9, shown // int(leading))
        assert int(guess) >= number // b  # so that going down finds it
    assert text.endswith(f"\n={a // b}r{a % b}")


@given(st.integers(0, 999_999), st.integers(10, 999))
def test_a_long_division_at_a_glance_goes_on_from_each_rest(a: int, b: int):
    size, text = len(str(b)), divided(a, b, Effort.MEDIUM)
    if len(str(a)) < size:
        assert text == f"0r{a}"
        return
    rest, quotient = int(str(a)[: size - 1]), ""
    for step, digit in zip(text.split(","), str(a)[size - 1 :], strict=True):
        found, product, left = step.split(":")
        assert (len(found), len(product), len(left)) == (1, size + 1, size)
        assert int(found) * b == int(product)
        assert 10 * rest + int(digit) - int(product) == int(left) < b
        rest, quotient = int(left), quotient + found
    assert (int(quotient), rest) == divmod(a, b)


@pytest.mark.parametrize("held", [True, False])
@pytest.mark.parametrize("draw", [division, long_division])
def test_divisions_ask_what_is_answered(draw: object, held: bool):
    for one in drawn(draw, held):
        a, b = (int(number) for number in re.findall(r"\d+", one.question))
        expected = (
            str(a % b)
            if one.cell.startswith("remainder")
            else f"{a // b} remainder {a % b}".removesuffix(" remainder 0")
        )
        assert one.answer == expected


def test_every_digit_divides_and_remainders_alone_have_their_part():
    by = {int(re.findall(r"\d+", one.question)[1]) for one in drawn(division, False)}
    assert by == set(range(1, 10))
    alone = [one.cell.startswith("remainder") for one in drawn(long_division, False)]
    assert 0.3 < sum(alone) / len(alone) < 0.4


@pytest.mark.parametrize("held", [True, False])
@pytest.mark.parametrize("draw", [division, long_division, by_zero])
def test_a_remainder_that_is_asked_alone_is_named_first(draw: object, held: bool):
    seen = set[bool]()
    for one in (one for one in drawn(draw, held) if one.cell != "division by zero"):
        a, b = (int(number) for number in re.findall(r"\d+", one.question))
        alone = re.search(r"remainder|\bmod\b", one.question) is not None
        seen.add(alone)
        for effort in (Effort.MEDIUM, Effort.HIGH):
            assert one.reasoning[effort] == "Remainder.\n" * alone + divided(a, b, effort), one
    assert seen == {True, False}


@pytest.mark.parametrize("held", [True, False])
def test_comparisons_name_one_of_the_two(held: bool):
    for one in drawn(comparison, held):
        numbers = [int(number) for number in re.findall(r"\d+", one.question)]
        larger = re.search("larger|bigger|greater", one.question) is not None
        assert int(one.answer) == (max(numbers) if larger else min(numbers))


@pytest.mark.parametrize("held", [True, False])
def test_stories_follow_from_their_numbers(held: bool):
    for one in drawn(story, held):
        steps = re.findall(r"(\d+)([+*-])(\d+)=(\d+)", one.reasoning[Effort.MEDIUM])
        assert {number for a, _, b, _ in steps for number in (a, b)} <= {
            *re.findall(r"\d+", one.question),
            steps[0][3],
        }
        assert all(eval(f"{a}{sign}{b}") == int(result) for a, sign, b, result in steps)
        assert steps[-1][3] == one.answer


@pytest.mark.parametrize("held", [True, False])
def test_long_stories_go_on_from_what_there_is(held: bool):
    counts = set()
    for one in drawn(long_story, held):
        steps = re.findall(r"(\d+)([+*/-])(\d+)=(\d+)", one.reasoning[Effort.MEDIUM])
        assert told(one.question) == [steps[0][0], *(b for _, _, b, _ in steps)]
        for (*_, before), (after, *_) in pairwise(steps):
            assert before == after
        assert all(eval(f"{a}{sign}{b}") == int(result) for a, sign, b, result in steps)
        assert steps[-1][3] == one.answer
        counts.add(len(steps))
    assert counts == {1, 2, 3, 4}


def told(text: str) -> list[str]:
    """The numbers of a story, those in words too."""
    worded = {"doubles": "2", "twice": "2", "half": "2", "triples": "3"}
    return [worded.get(found.lower(), str(found)) for found in re.findall(r"\d+|doubles|twice|triples|[Hh]alf\b", text)]


# The words that say what an operation is, by a reader who knows no frames.
_SIGNS = {
    "*": r"times|multiplied|\b[Ee]ach\b|doubles|twice|triples",
    "/": r"equal|divided|[Hh]alf",
    "-": r"disappear|break|vanish|missing|lost|loses|fall|sold|sells|stolen|steals|taken|takes|remove|throw|given|"
    r"gives away|use|broken|(?:gives|sells) \d.* to |gives [A-Z]\w+ \d+(?: of| [a-z]+ |[. ]|$)|shrinks|down|fewer|less",
    "+": r"\b(?:more|[Aa]nother|new|well|added|adds|bought|buys|found|finds|brought|brings|comes with|put there|"
    r"grows by|rises|up by)\b",
}


def signs(sentence: str) -> set[str]:
    """The operations that a sentence may mean; who gives more takes nothing, and what grows so many times is no sum."""
    found = {sign for sign, words in _SIGNS.items() if re.search(words, sentence)}
    strong = found & {"*", "/"}
    return strong or ({"+"} if {"+", "-"} <= found and re.search("more|nother|new", sentence) else found)


@pytest.mark.parametrize("held", [True, False])
def test_every_sentence_of_a_story_says_its_operation(held: bool):
    for one in drawn(long_story, held):
        sentences = re.findall(r"[^.?]+[.?]", one.question)
        steps = re.findall(r"\d+([+*/-])\d+=", one.reasoning[Effort.MEDIUM])
        assert len(sentences) == len(steps) + 2
        assert [signs(sentence) for sentence in sentences[1:-1]] == [{sign} for sign in steps], one.question


@pytest.mark.parametrize("held", [True, False])
@pytest.mark.parametrize("draw", [story, long_story])
def test_a_story_is_read_before_it_is_worked_out(draw: object, held: bool):
    for one in drawn(draw, held):
        steps = re.findall(r"(\d+)([+*/-]\d+)=", one.reasoning[Effort.MEDIUM])
        high = one.reasoning[Effort.HIGH].split("\n")
        headers = [line for line in high if re.fullmatch(r"\d+[+*/-]\d+(,[+*/-]\d+)*", line)]
        after = [",".join(sign for _, sign in steps[place:]) for place in range(len(steps))]
        assert headers == [number + rest for (number, _), rest in zip(steps, after, strict=True)]


def test_learned_stories_say_some_sentences_and_numbers_again():
    """Of two sentences that differ in their numbers alone, or not at all, neither may be skipped."""
    alike = same = 0
    stories = [one for one in drawn(long_story, False) if "4 steps" in one.cell]
    for one in stories:
        events = re.findall(r"[^.?]+[.?]", one.question)[1:-1]
        alike += len({re.sub(r"\d+", "n", event) for event in events}) < 4
        same += len(set(events)) < 4
    assert 0.2 < alike / len(stories) < 0.7
    assert 0 < same / len(stories) < 0.2


def test_sentences_that_are_kept_are_not_learned():
    random = Random(1)
    draws = (long_story, story, prose)
    learned = " ".join(draw(random, held=False).question for draw in draws for _ in range(20 * MANY))
    kept = " ".join(one.question for one in drawn(long_story, True))
    for words in (
        r"starts with \d",
        r"nother \d+ arrive",
        r"\d disappear",
        r"Soon there are \d+ times as many of them",
        r"go into \d+ equal boxes",
        r"ow many \w+ remain",
    ):
        assert re.search(words, kept)
        assert not re.search(words, learned)
    # Every word of them is learned in other sentences.
    for word in ("starts", "Another", "arrive", "disappear", "Soon", "times", "only one box is left", "remain?"):
        assert word in learned


def test_sentences_are_composed_in_hundreds_of_ways():
    random, seen = Random(2), dict[str, set[str]]()
    names = re.compile("|".join([*NAMES, *WORDS["things"]]))
    for _ in range(20 * MANY):
        one = long_story(random, held=False, count=1)
        sign = re.findall(r"\d([+*/-])", one.reasoning[Effort.MEDIUM])[0]
        beginning, event, end = re.findall(r"[^.?]+[.?]", re.sub(r"\d+", "n", names.sub("X", one.question)))
        for kind, sentence in (("beginning", beginning), (sign, event), ("end", end)):
            seen.setdefault(kind, set()).add(sentence)
    # Divisions are few of these stories.
    assert min(len(seen[sign]) for sign in "+-*/") > 150
    assert len(seen["beginning"]) > 400
    assert len(seen["end"]) > 50


@pytest.mark.parametrize("draw", [division, long_division, comparison])
def test_numbers_that_are_kept_are_never_learned(draw: object):
    kept, learned = ({re.sub(r"\D+", " ", one.question) for one in drawn(draw, held)} for held in (True, False))
    assert not kept & learned


@pytest.mark.parametrize("draw", [story])
def test_first_steps_that_are_kept_are_never_learned(draw: object):
    kept, learned = (
        {one.reasoning[Effort.MEDIUM].split(",")[0] for one in drawn(draw, held)} for held in (True, False)
    )
    assert not kept & learned
