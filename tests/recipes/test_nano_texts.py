"""Sorting, letters and logic, judged by Python itself."""

import re
from collections import Counter
from functools import partial
from itertools import combinations, count, groupby
from operator import attrgetter
from random import Random
from typing import NamedTuple

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


def turned(question: str) -> bool:
    return re.search("descending|largest to|backwards|from z|reverse|z to a", question) is not None


def sorted_by_python(one: Problem) -> list[str]:
    key = int if one.cell == "sort numbers" else str
    return sorted(items_of(one.question), key=key, reverse=turned(one.question))


def begun(question: str) -> list[str]:
    """How a working has to begin: which way it goes, and the items as they were said, each behind its key."""
    return ["Descending." if turned(question) else "Ascending.", keyed(items_of(question))]


@HELD
def test_what_is_sorted_is_what_python_sorts(held: bool):
    for one in drawn(ordering, held):
        expected = sorted_by_python(one)
        assert one.answer == ", ".join(expected)
        assert one.reasoning[Effort.MEDIUM].split("\n") == [*begun(one.question), keyed(expected)]


@HELD
def test_a_walk_asks_every_beginning_and_numbers_what_it_finds(held: bool):
    for one in drawn(ordering, held):
        expected, steps = sorted_by_python(one), steps_of(one)
        alike = Counter(map(begins, expected))
        asked = beginnings(expected, backwards=turned(one.question))
        assert [step.beginning for step in steps] == [each for each in asked for _ in range(max(1, alike[each]))]
        keys = [lettered(item) if alike[begins(item)] > 1 else begins(item) for item in expected]
        found = [(step.beginning, step.number, step.found) for step in steps if step.number]
        assert found == list(zip(map(begins, expected), map(str, count(1)), keys, strict=False))


@HELD
def test_around_a_walk_items_stand_as_they_were_said_and_in_order(held: bool):
    for one in drawn(ordering, held):
        *first, _, last = one.reasoning[Effort.HIGH].split("\n")
        assert first == begun(one.question)
        assert last == ",".join(f"#{number},{keyed([item])}" for number, item in enumerate(sorted_by_python(one), 1))


@HELD
@pytest.mark.parametrize("draw", [ordering, partial(ordering, count=8)])
def test_who_reads_beginnings_and_comparisons_alone_sorts_rightly(draw: object, held: bool):
    """Of few items hardly ever three begin alike, of eight words often."""
    seen = Counter[tuple[str, bool]]()
    for one in drawn(draw, held):
        backwards, found = turned(one.question), list[str]()
        for beginning, (first, *others) in groupby(steps_of(one), attrgetter("beginning")):
            alike = [item for item in items_of(one.question) if begins(item) == beginning]
            found += ranked(first, alike, backwards=backwards)
            assert not any(step.rests for step in others)
            seen[one.cell, backwards] += len(alike) > 1
        assert ", ".join(found) == one.answer
    assert len(seen) == 4
    assert min(seen.values()) > MANY / 80


def test_words_to_learn_from_begin_alike_more_often_than_by_chance():
    """Three in ten would by chance, and few of those are level in a second letter."""
    words = [one for one in drawn(ordering, False) if one.cell == "sort words"]
    alike = [one for one in words if len(set(map(begins, items_of(one.question)))) < len(items_of(one.question))]
    assert 0.5 < len(alike) / len(words) < 0.75
    assert sum("=" in one.reasoning[Effort.HIGH] for one in alike) > len(words) / 12


def test_a_part_of_what_is_learned_to_be_sorted_has_no_commas():
    plain = ["," not in one.question for one in drawn(ordering, False)]
    assert 0.15 < sum(plain) / len(plain) < 0.35
    assert all("," in one.question for one in drawn(ordering, True))


class Step(NamedTuple):
    """Of a walk: the beginning, what several have behind it and how those compare, a number and what has that."""

    beginning: str
    rests: str | None
    compared: str | None
    number: str | None
    found: str | None


def steps_of(one: Problem) -> list[Step]:
    form = re.compile(r"(\w\d|\da\d|\d)(?:\[(.*)\]([^#]*))?(?:#(\d),(\w*))?")
    walk = one.reasoning[Effort.HIGH].split("\n")[2]
    found = [form.fullmatch(step) for step in walk.split(";")]
    assert all(found), walk
    return [Step(*step.groups()) for step in found if step]


def ranked(step: Step, alike: list[str], *, backwards: bool) -> list[str]:
    """Items that begin alike, each behind all that it is larger than: any two are compared, in the order said."""
    if len(alike) < 2:
        assert step.rests is None
        return alike
    rests = {item: lettered(item).removeprefix(step.beginning) for item in alike}
    assert step.rests == ",".join(rests.values())
    larger = Counter(alike)
    for compared, (one, other) in zip((step.compared or "").split("/"), combinations(alike, 2), strict=True):
        larger[other if below(compared, rests[one], rests[other]) else one] += 1
    return sorted(alike, key=larger.__getitem__, reverse=backwards)


def below(compared: str, one: str, other: str) -> bool:
    """Whether the first is, by a comparison that has to be true: from the first place on, to where they differ."""
    places = re.findall(r"([a-z]\d)([<=>])([a-z]\d)", compared)
    assert ",".join(map("".join, places)) == compared
    left, signs, right = map("".join, zip(*places, strict=True))
    assert one.startswith(left)
    assert other.startswith(right)
    assert all({"<": x < y, "=": x == y, ">": x > y}[sign] for x, sign, y in places), compared
    assert re.fullmatch("=*[<>]", signs), compared
    return signs.endswith("<")


def keyed(items: list[str]) -> str:
    return ",".join(f"{lettered(item)}:{item}" for item in items)


def begins(item: str) -> str:
    return lettered(item)[: 3 if item.isdigit() else 2]


def lettered(item: str) -> str:
    """A number's length, and its digits with a letter before each; a word's first four letters, a number behind each.

    That much is the key of an item; no two words are level in it.
    """
    if not item.isdigit():
        return numbered(item[:4])
    return f"{len(item)}" + "".join(f"{chr(ord('a') + place)}{digit}" for place, digit in enumerate(item))


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
def test_changes_of_case_are_drawn_twice_as_often_as_others(held: bool):
    random = Random(0)
    cells = Counter(text_question(random, held=held).cell for _ in range(10 * MANY))
    for cell in ("upper case", "lower case"):
        assert 1.5 < cells[cell] / cells["spell"] < 2.6


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


def in_the_plural(text: str) -> str:
    for singular, plural in (
        (r"Every (\w+) is an? (\w+)\.", r"All \1 are \2."),
        (r"No (\w+) is an? (\w+)\.", r"No \1 are \2."),
        (r"Is every (\w+) an? (\w+)\?", r"Are all \1 \2?"),
        (r"Is ([\w ]+) an? (\w+)\?", r"Is \1 one of the \2?"),
        (r"([\w ]+) is an? (\w+)\.", r"\1 is one of the \2."),
    ):
        text = re.sub(singular, plural, text)
    return text


def supposed(text: str) -> str:
    """By looking at every way in which what is named may be so or not."""
    conditions = re.findall(r"If it is (\w+), it is (\w+)\.", text)
    either = re.findall(r"It is (\w+) or (\w+)\.", text)
    ((negated, fact),) = re.findall(r"It is (not )?(\w+)\.", text)
    (asked,) = re.findall(r"Is it (\w+)\?", text)
    words = sorted({word for pair in conditions + either for word in pair})
    assert {fact, asked} <= {*words}
    worlds = [{word for bit, word in enumerate(words) if number >> bit & 1} for number in range(2 ** len(words))]
    return verdict(
        {
            asked in world
            for world in worlds
            if all(a not in world or b in world for a, b in conditions)
            and all(a in world or b in world for a, b in either)
            and (fact in world) != bool(negated)
        }
    )


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
    seen = set[str]()
    for one in drawn(conclusion, held):
        conditional = " Is it " in one.question
        seen |= {one.answer, *re.findall(r"\b(All|Every|Some|If|or|one of|Is every|Are all)\b", one.question)}
        if len(re.findall("If|All|Every", one.question)) > 1:
            seen.add("chain")
        assert one.answer == (supposed(one.question) if conditional else follows(in_the_plural(one.question))), one
        assert all((article == "an") == (letter in "aeiou") for article, letter in articles(one.question)), one
        end = one.reasoning[Effort.HIGH].rpartition(":")[2]
        assert {"yes": "Yes.", "no": "No."}.get(end, "That does not follow.") == one.answer, one
    answers = {"Yes.", "No.", "That does not follow."}
    assert seen == {*answers, "All", "Every", "Some", "If", "or", "one of", "Is every", "Are all", "chain"}


def articles(text: str) -> list[tuple[str, str]]:
    return re.findall(r"\b(an?) (\w)\w*[.?]", text)


@pytest.mark.parametrize("draw", [ordering, text_question, conclusion])
def test_words_that_are_kept_are_never_learned(draw: object):
    def questions(held: bool) -> set[str]:
        return {one.question for one in drawn(draw, held)}

    assert not questions(True) & questions(False)
