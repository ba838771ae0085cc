"""Facts: one answer to each question, codes judged by pycountry, and what WordNet's files say."""

import json
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from random import Random

import pycountry
import pytest

from recipes.nano.chat import CANNOT, chat, unknown
from recipes.nano.conversation import vocabulary
from recipes.nano.facts import facts, glosses
from recipes.nano.gather import GATHERED, antonyms, definitions, read_senses, tender
from recipes.nano.knowledge import known, taught_facts, unknown_fact

MANY = 4000
ELEMENTS = {row[1].lower() for row in json.loads(GATHERED.read_text("utf-8"))["elements"]}


def questions(draw: object, count: int = MANY) -> dict[str, set[str]]:
    random, answers = Random(0), dict[str, set[str]]()
    for _ in range(count):
        one = draw(random)  # type: ignore[operator] # a skill
        answers.setdefault(one.question.lower().rstrip("?."), set()).add(one.answer)
    return answers


def test_a_question_has_one_answer_whoever_asks_it():
    ours = questions(known)
    for question, answers in questions(facts).items():
        ours.setdefault(question, set()).update(answers)
    assert {question: answers for question, answers in ours.items() if len(answers) > 1} == {}


def test_periods_end_with_the_noble_gases():
    """So the atomic number that is taught of an element says its period."""
    told = dict[str, dict[str, str]]()
    random = Random(0)
    for one in (known(random) for _ in range(30_000)):
        if one.cell in ("known, period", "known, atomic number"):
            [name] = [word for word in re.findall("[a-z]+", one.question.lower()) if word in ELEMENTS]
            told.setdefault(name, {})[one.cell] = one.answer
    ends = (2, 10, 18, 36, 54, 86, 118)
    both = [answers for answers in told.values() if len(answers) == 2]
    assert len(both) > 80
    for answers in both:
        number, period = int(answers["known, atomic number"]), int(answers["known, period"].rstrip("."))
        assert period == 1 + sum(number > end for end in ends)


def test_there_are_as_many_facts_as_are_counted():
    """Different answers are fewer by those that several words share: "A kind of person."."""
    random = Random(0)
    answers = {(one.cell, one.answer) for one in (known(random) for _ in range(30_000))}
    assert len(answers) < taught_facts() < 1.4 * len(answers)


@pytest.mark.parametrize("held", [True, False])
def test_what_is_declined_is_never_taught(held: bool):
    taught = questions(known) | questions(facts) | questions(chat)
    declined = questions(lambda random: unknown_fact(random, held=held)) | questions(
        lambda random: unknown(random, held=held)
    )
    assert {answer for answers in declined.values() for answer in answers} == {CANNOT}
    assert not taught.keys() & declined.keys()


def test_what_is_kept_is_not_declined_in_training():
    kept, learned = (questions(lambda random, held=held: unknown_fact(random, held=held)) for held in (True, False))
    assert not kept.keys() & learned.keys()


def test_many_more_words_are_declined_than_known_and_they_look_alike():
    """Of each length in letters the part that is known is much the same, so that the look of a word tells nothing."""
    known_words, beyond = Counter[int](), Counter[int]()
    tables = json.loads(GATHERED.read_text("utf-8"))
    known_words.update(min(len(word), 10) for word, _ in tables["kinds"])
    beyond.update(min(len(word), 10) for word in tables["beyond nouns"])
    assert beyond.total() > 4 * known_words.total()
    assert not {word for word, _ in tables["kinds"]} & {*tables["beyond nouns"]}
    parts = [known_words[size] / (known_words[size] + beyond[size]) for size in range(4, 11)]
    assert all(0.05 < part < 0.35 for part in parts), parts


def test_a_newcomers_words_are_known():
    ours = questions(known, 15 * MANY)
    for question in ("what does dog mean", "what is the meaning of water", "what is gold", "what is a house"):
        assert question in ours, question


def test_everyday_things_are_defined_in_short_words_of_our_own():
    ours, tokens = questions(known, 15 * MANY), vocabulary()
    assert ours["what is a bank"] == {"A place that keeps and lends money."}
    assert ours["what kind of thing is an elephant"] == {"Animal."}
    for word, (gloss, kind) in glosses().items():
        assert word not in gloss.split()
        assert kind != word
        assert len(tokens.encode(word)) <= 4
        assert len(tokens.encode(gloss)) <= 28
        assert len(gloss.split()) <= 11


def test_a_country_has_its_own_currency():
    assert tender("HT", ["HTG", "USD"]) == "HTG"
    assert tender("EC", ["USD"]) == "USD"
    currencies = {row[0]: row[2] for row in json.loads(GATHERED.read_text("utf-8"))["currencies"]}
    wanted = {"Haiti": "HTG", "Panama": "PAB", "Lesotho": "LSL", "Croatia": "EUR", "United States": "USD"}
    assert wanted.items() <= currencies.items()


def test_codes_are_those_of_pycountry():
    random = Random(0)
    for _ in range(MANY):
        one = known(random)
        if one.cell == "known, country code":
            name = one.question.rstrip("?").rsplit(" ", 1)[-1]
            country = pycountry.countries.get(alpha_2=one.answer.rstrip("."))
            assert country is not None
            # Its names may be longer, "Iran, Islamic Republic of", or spelled otherwise, as "Russian Federation".
            names = f"{country.name} {getattr(country, 'common_name', '')}".lower()
            assert name.lower()[:4] in names


def test_hundreds_are_taught():
    assert len({frozenset(answers) for answers in questions(known, 10 * MANY).values()}) > 250


# Two nouns and two adjectives in the files' format, offsets made up.
_NOUNS = """\
  1 A line of the licence.
00000100 05 n 01 creature 0 000 | a living thing
00000200 05 n 02 dog 0 hound 0 001 @ 00000100 n 0000 | a small (tame) creature; "the dog barked"
"""
_ADJECTIVES = """\
00000300 00 a 01 dark 0 001 ! 00000400 a 0101 | without light
00000400 00 a 02 bright 0 light 0 001 ! 00000300 a 0101 | with light
"""
_INDEX = """\
bright%3:00:00:: 00000400 1 3
creature%1:05:00:: 00000100 1 0
dark%3:00:00:: 00000300 1 9
dog%1:05:00:: 00000200 1 42
hound%1:05:01:: 00000200 2 1
light%3:00:00:: 00000400 1 2
"""


def test_wordnet_is_read(tmp_path: Path):
    (tmp_path / "data.noun").write_text(_NOUNS)
    (tmp_path / "data.adj").write_text(_ADJECTIVES)
    (tmp_path / "index.sense").write_text(_INDEX)
    nouns, adjectives = list(read_senses(tmp_path, "noun")), list(read_senses(tmp_path, "adj"))
    assert {(sense.word, sense.broader, sense.count) for sense in nouns} == {
        ("creature", None, 0),
        ("dog", "creature", 42),
        ("hound", "creature", 1),
    }
    # Of a word only its first meaning, and that met in texts; brackets and examples are left out.
    assert definitions(nouns) == [["dog", "a small creature"]]
    assert antonyms(adjectives) == [["dark", "bright"], ["bright", "dark"]]


def test_draws_are_the_same_in_every_process():
    """Whatever order sets of texts have there."""
    code = (
        "from random import Random; from recipes.nano.knowledge import unknown_fact; random = Random(0);"
        "print([unknown_fact(random, held=False).question for _ in range(200)])"
    )
    drawn = {
        subprocess.run(
            [sys.executable, "-c", code],
            cwd=Path(__file__).parents[2],
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(drawn) == 1
