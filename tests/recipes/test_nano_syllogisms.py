"""What follows, judged by all the ways in which things may be."""

import re
from collections.abc import Callable
from itertools import product
from random import Random

import pytest

from ossia.harmony import Effort
from recipes.nano.problem import Problem
from recipes.nano.syllogisms import plural, syllogism

MANY = 600
World = tuple[bool, ...]
YES, NO, OPEN = "Yes.", "No.", "That does not follow."


def drawn(held: bool) -> list[Problem]:
    random = Random(0)
    return [syllogism(random, held=held) for _ in range(MANY)]


def statement(sentence: str) -> tuple[str, bool]:
    """What a clause says in a form that is the same for it, its denial and its question; and whether it says so."""
    text = sentence.lower().rstrip(".?")
    asked = re.fullmatch(r"(is|does) (it|the \w+|\w+) (.+)", text)
    if asked:
        text = f"{asked[2]} is {asked[3]}" if asked[1] == "is" else f"{asked[2]} {asked[3]}s"
    denied = " is not " in text or " does not " in text
    text = text.replace(" is not ", " is ")
    text = re.sub(r"(.+) does not (\w+)", r"\1 \2s", text)
    return text, not denied


def said_of_one(noun: str, nouns: set[str]) -> str:
    """The singular of a noun that may be a plural of one of them."""
    return next((one for one in nouns if noun in (one, plural(one))), noun)


def verdict(possible: set[bool]) -> str:
    return OPEN if len(possible) == 2 else YES if possible == {True} else NO


def supposed(question: str) -> str:
    """Of conditions: over all worlds of the clauses."""
    *premises, asked = re.findall(r"[^.?]+[.?]", question)
    rules, facts = [], []
    for text in (premise.strip() for premise in premises):
        if found := re.fullmatch(r"(?:If|Whenever) (.+?), (?:then )?(.+)\.", text):
            rules.append((statement(found[1]), statement(found[2])))
        else:
            facts.append(statement(text))
    wanted, _ = statement(asked.strip())
    names = sorted({name for pair in rules for name, _ in pair} | {name for name, _ in facts} | {wanted})
    worlds = [dict(zip(names, bits, strict=True)) for bits in product((False, True), repeat=len(names))]
    return verdict(
        {
            world[wanted]
            for world in worlds
            if all(not world[a] or world[b] for (a, _), (b, _) in rules)
            and all(world[name] == so for name, so in facts)
        }
    )


def follows(question: str) -> str:
    """Of kinds and qualities: over all that one individual may be."""
    *premises, asked = [text.strip() for text in re.findall(r"[^.?]+[.?]", question)]
    rules: list[tuple[str, bool, str]] = []
    facts: list[tuple[str, bool]] = []
    nouns = set(re.findall(r"\b(?:a|an|Every|No) (\w+)(?=[.?]| is)", question))
    for text in premises:
        found = re.fullmatch(r"(?:All |Every )?(\w+) (?:are|is) (?!an? |not )(\w+)\.", text)
        if found and (text.startswith(("All", "Every")) or " are " in text):
            rules.append((found[1], True, found[2]))
        elif found := re.fullmatch(r"No (\w+) (?:are|is) (?:an? )?(\w+)\.", text):
            rules.append((found[1], False, found[2]))
        elif found := re.fullmatch(r"(\w+) is (not )?(?:an? )?(\w+)\.", text):
            facts.append((found[3], found[2] is None))
    (wanted,) = re.findall(r"Is \w+ (?:an? )?(\w+)\?", asked)
    single: Callable[[str], str] = lambda noun: said_of_one(noun.lower(), {each.lower() for each in nouns})  # noqa: E731
    rules = [(single(a), so, single(b)) for a, so, b in rules]
    facts = [(single(name), so) for name, so in facts]
    names = sorted({name for a, _, b in rules for name in (a, b)} | {name for name, _ in facts} | {single(wanted)})
    worlds = [dict(zip(names, bits, strict=True)) for bits in product((False, True), repeat=len(names))]
    return verdict(
        {
            world[single(wanted)]
            for world in worlds
            if all(not world[a] or world[b] == so for a, so, b in rules)
            and all(world[name] == so for name, so in facts)
        }
    )


@pytest.mark.parametrize("held", [True, False])
def test_what_is_said_holds_in_every_world(held: bool):
    seen = set[str]()
    for one in drawn(held):
        conditional = re.search(r"\b(If|Whenever)\b", one.question) is not None
        assert one.answer == (supposed if conditional else follows)(one.question), one
        end = one.reasoning[Effort.HIGH].rpartition(":")[2]
        assert {"yes": YES, "no": NO}.get(end, OPEN) == one.answer, one
        seen |= {one.answer, *re.findall(r"\b(If|then|Whenever|All|Every|No|does not|is not)\b", one.question)}
    assert seen == {YES, NO, OPEN, "If", "then", "Whenever", "All", "Every", "No", "does not", "is not"}


@pytest.mark.parametrize("held", [True, False])
def test_articles_and_numbers_are_those_of_the_nouns(held: bool):
    for one in drawn(held):
        assert all((a == "an") == (first in "aeiou") for a, first in re.findall(r"\b(an?) (\w)", one.question)), one


def test_what_is_kept_is_not_learned():
    learned, kept = ({one.question for one in drawn(held)} for held in (False, True))
    assert not learned & kept
