"""Sorting, letters and logic, judged by Python itself."""

import re
from random import Random

import pytest

from ossia.harmony import Effort
from recipes.nano.conversation import vocabulary
from recipes.nano.letters import numbered, text_question
from recipes.nano.logic import conclusion, truth
from recipes.nano.ordering import ordering
from recipes.nano.problem import Problem

MANY = 400
TOKENS = vocabulary()
HELD = pytest.mark.parametrize("held", [True, False])


def drawn(draw: object, held: bool) -> list[Problem]:
    random = Random(0)
    return [draw(random, held=held) for _ in range(MANY)]  # type: ignore[operator] # the skills themselves


# What questions say around the items.
SAID = {
    *("sort", "these", "numbers", "put", "in", "order", "ascending", "from", "smallest", "to", "largest", "descending"),
    *("backwards", "words", "alphabetically", "alphabetical", "a", "z", "reverse"),
}


def items_of(question: str) -> list[str]:
    """Between commas; without any, all that is no word of the question."""
    if "," in question:
        return re.findall(r"\w+(?=,)|(?<=, )\w+", question)
    return [text for text in re.findall(r"\w+", question) if text.lower() not in SAID]


def sorted_by_python(one: Problem) -> list[str]:
    items = items_of(one.question)
    backwards = re.search("descending|largest to|backwards|from z|reverse|z to a", one.question) is not None
    return sorted(items, key=int if one.cell == "sort numbers" else str, reverse=backwards)


@HELD
def test_what_is_sorted_is_what_python_sorts(held: bool):
    for one in drawn(ordering, held):
        expected = sorted_by_python(one)
        assert one.answer == ", ".join(expected)
        _, said, order = one.reasoning[Effort.MEDIUM].split("\n")
        assert unkeyed(said) == items_of(one.question)
        assert unkeyed(order) == expected


def parts(step: str) -> tuple[str | None, ...]:
    """Of a step of a walk: the beginning, what is in brackets, the number, and what stands behind that."""
    found = re.fullmatch(r"(\w\d|\da\d|\d)(?:\[(.*)\])?(?:#(\d),(.*))?", step)
    assert found, step
    return found.groups()


@HELD
def test_a_walk_asks_every_beginning_and_numbers_what_it_finds(held: bool):
    several = 0
    for one in drawn(ordering, held):
        _, said, walk, last = one.reasoning[Effort.HIGH].split("\n")
        items, expected = items_of(one.question), sorted_by_python(one)
        assert unkeyed(said) == items
        steps = [parts(step) for step in walk.split(";")]
        asked = list(dict.fromkeys(beginning for beginning, *_ in steps))
        assert asked == beginnings(items, backwards="Descending" in one.reasoning[Effort.HIGH])
        told: dict[str, str] = {}
        for place, (beginning, rests, *_) in enumerate(steps):
            alike = [item for item in items if begins(item) == beginning]
            assert (rests is not None) == (len(alike) > 1 and beginning != steps[place - 1][0])
            if rests:
                several += 1
                told |= dict(zip(alike, rests.split(","), strict=True))
                size = 1 + len(told[alike[0]]) // 2
                assert rests == ",".join(lettered(item)[2 : 2 * size] for item in alike)
                assert len({item[:size] for item in alike}) == len(alike) > len({item[: size - 1] for item in alike})
        found = [(beginning, rest) for beginning, _, number, rest in steps if number]
        assert [number for *_, number, _ in steps if number] == [str(number) for number in range(1, len(items) + 1)]
        assert found == [(begins(item), begins(item) + told.get(item, "")) for item in expected]
        keys = [begins(item) + told.get(item, "") if item.isdigit() else numbered(item[:3]) for item in expected]
        listed = (f"#{number},{key}:{item}" for number, (key, item) in enumerate(zip(keys, expected, strict=True), 1))
        assert last == ",".join(listed)
    assert several > MANY / 10


def unkeyed(line: str) -> list[str]:
    """The items of a line, each of which stands behind a key that is its beginning."""
    keys, items = zip(*(part.split(":") for part in line.split(",")), strict=True)
    for key, item in zip(keys, items, strict=True):
        assert key == (begins(item) if item.isdigit() else numbered(item[:3]))
    return list(items)


def begins(item: str) -> str:
    return f"{len(item)}a{item[0]}" if item.isdigit() else f"{item[0]}1"


def lettered(item: str) -> str:
    """A number with a letter before each digit, a word with a number behind each letter."""
    if not item.isdigit():
        return numbered(item)
    return "".join(f"{chr(ord('a') + place)}{digit}" for place, digit in enumerate(item))


def beginnings(items: list[str], *, backwards: bool) -> list[str]:
    """Every one that an item may have, of a length that there is; any other length up to six alone."""
    if items[0].isdigit():
        lengths = {*map(len, items)}
        found = [f"{length}a{digit}" for length in lengths for digit in range(10)]
        found += map(str, {*range(1, 7)} - lengths)
    else:
        found = [f"{chr(code)}1" for code in range(ord("a"), ord("z") + 1)]
    return sorted(found, reverse=backwards)


def by_python(one: Problem, word: str) -> str:
    letter = re.search(r"(?:How many |does |letter )(\w)\b", one.question)
    results = {
        "spell": "-".join(word),
        "count letters": str(len(word)),
        "count a letter": str(word.count(letter[1])) if letter else "",
        "reverse": word[::-1],
        "first letter": word[0],
        "last letter": word[-1],
        "upper case": word.upper(),
        "lower case": word.lower(),
        "palindrome": "Yes." if word == word[::-1] else "No.",
    }
    return results[one.cell]


@HELD
def test_letters_are_counted_turned_and_changed_as_python_does(held: bool):
    seen = set()
    common = set(" ".join(frames()).lower().split())
    for one in drawn(text_question, held):
        words = re.findall(r"[A-Za-z]{2,}", one.question)
        word = next((word for word in words if word.lower() not in common), None)
        if word is not None:
            seen.add(one.cell)
            assert one.answer == by_python(one, word), one
    assert len(seen) == 9


def frames() -> list[str]:
    from recipes.nano import letters  # noqa: PLC0415 # only for its sentences

    kinds = ("SPELL", "LENGTH", "COUNT", "REVERSE", "FIRST", "LAST", "UPPER", "LOWER", "PALINDROME")
    texts = [frame for kind in kinds for frame in getattr(letters, f"_{kind}")]
    return [re.sub(r"\{\w*\}|[?.]|'s", "", text) for text in texts]


def test_letters_have_their_numbers():
    assert numbered("strawberry") == "s1t2r3a4w5b6e7r8r9y10"


@HELD
def test_what_is_joined_at_last_is_the_answer_token_by_token(held: bool):
    for one in drawn(text_question, held):
        if one.cell in ("reverse", "upper case", "lower case"):
            first, *_, last = one.reasoning[Effort.HIGH].split("\n")
            pieces = re.findall(r"([A-Za-z]+)(\d+)", last)
            assert "".join(piece for piece, _ in pieces) == one.answer
            assert [piece for piece, _ in pieces] == [TOKENS.decode([token]) for token in TOKENS.encode(one.answer)]
            letters = {number: letter for letter, number in re.findall(r"([A-Za-z])(\d+)", first)}
            assert all(letters[number].lower() == piece[-1].lower() for piece, number in pieces)


@HELD
def test_a_word_to_be_changed_is_spelled_token_by_token(held: bool):
    for one in drawn(text_question, held):
        if one.cell in ("upper case", "lower case"):
            first, changed, _ = one.reasoning[Effort.HIGH].split("\n")
            parts = [part.split(":") for part in first.split(",")]
            word = "".join(piece for piece, _ in parts)
            assert word in one.question
            assert [piece for piece, _ in parts] == [TOKENS.decode([token]) for token in TOKENS.encode(word)]
            assert all(re.sub(r"\d+", "", letters) == piece for piece, letters in parts)
            assert "".join(letters for _, letters in parts) == numbered(word) == one.reasoning[Effort.MEDIUM]
            assert changed == numbered(one.answer)


@HELD
def test_truth_is_what_python_says(held: bool):
    for one in drawn(truth, held):
        text = re.sub(r"^(Is (.*) true( or false)?|(What is|Evaluate) (.*)|(.*))[?.]$", r"\2\5\6", one.question)
        code = text.replace("true", "True").replace("false", "False")
        assert one.answer == f"{eval(code)}.", one
        for a, sign, b, result in re.findall(r"(true|false) (and|or) (true|false)=(\w+)", one.reasoning[Effort.HIGH]):
            assert eval(f"{a.title()} {sign} {b.title()}") == eval(result.title())
        values = re.findall(r"=(\w+)", one.reasoning[Effort.HIGH])
        assert one.reasoning[Effort.MEDIUM] == ",".join(values)
        assert one.answer == f"{values[-1].title()}."


def verdict(possible: set[bool]) -> str:
    return "That does not follow." if len(possible) == 2 else "Yes." if possible == {True} else "No."


def follows(text: str) -> str:
    """By looking at every way in which four things of two individuals may be: yes in all, no in all, or neither."""
    subset = [tuple(pair) for pair in re.findall(r"All (\w+) are (\w+)\.", text)]
    apart = [tuple(pair) for pair in re.findall(r"No (\w+) are (\w+)\.", text)]
    member = re.findall(r"([\w ]+?) is one of the (\w+)\.", text)
    words = sorted({word for pair in subset + apart for word in pair} | {word for _, word in member})
    asked = re.search(r"Are all (\w+) (\w+)\?", text) or re.search(r"Is [\w ]+ one of the (\w+)\?", text)
    assert asked
    words = sorted({*words, *asked.groups()})
    worlds = [{word for bit, word in enumerate(words) if number >> bit & 1} for number in range(2 ** len(words))]
    # A kind of individual is the set of words that it is; the premises forbid some kinds.
    kinds = [
        kind
        for kind in worlds
        if all(a not in kind or b in kind for a, b in subset) and not any(a in kind and b in kind for a, b in apart)
    ]
    if len(asked.groups()) == 2:
        a, b = asked.groups()
        return "Yes." if all(b in kind for kind in kinds if a in kind) else "That does not follow."
    possible = {asked[1] in kind for kind in kinds if all(word in kind for _, word in member)}
    return verdict(possible)


@HELD
def test_conclusions_are_those_that_hold_in_every_world(held: bool):
    seen = set()
    for one in drawn(conclusion, held):
        if found := re.fullmatch(
            r"(?:If it is (\w+), it is (\w+)\. It is (not )?(\w+)\.|It is (not )?(\w+)\. If it is (\w+), it is (\w+)\.)"
            r" Is it (\w+)\?",
            one.question,
        ):
            groups = found.groups()
            (a, b, negated, fact) = groups[:4] if groups[0] else (groups[6], groups[7], groups[4], groups[5])
            worlds = [(x, y) for x in (True, False) for y in (True, False) if not x or y]
            value = {a: 0, b: 1}
            left = [world for world in worlds if world[value[fact]] != bool(negated)]
            expected = verdict({world[value[groups[8]]] for world in left})
        else:
            expected = follows(one.question)
        seen.add(one.answer)
        assert one.answer == expected, one
    assert seen == {"Yes.", "No.", "That does not follow."}


@pytest.mark.parametrize("draw", [ordering, text_question, conclusion])
def test_words_that_are_kept_are_never_learned(draw: object):
    def questions(held: bool) -> set[str]:
        return {one.question for one in drawn(draw, held)}

    assert not questions(True) & questions(False)
