import json
import re
from random import Random

import pytest

from ossia.harmony import Effort
from recipes.nano.chat import unknown
from recipes.nano.conversation import vocabulary
from recipes.nano.copying import listed, lookup, memory, repetition
from recipes.nano.functions import NO_FUNCTION, NO_TOOL, Toolset, without_functions
from recipes.nano.instructions import Instruction, wished
from recipes.nano.problem import Problem
from recipes.nano.structured import Form
from recipes.nano.words import identifier, name, value, word

MANY = 200


@pytest.mark.parametrize("draw", [repetition, lookup, listed, memory])
@pytest.mark.parametrize("held", [True, False])
def test_the_answer_was_said(draw: object, held: bool):
    random = Random(0)
    for _ in range(MANY):
        one: Problem = draw(random, held=held)  # type: ignore[operator] # the skills themselves
        said = one.question + "".join(question for question, _ in one.earlier)
        assert one.answer in said or one.answer == "Noted." or one.cell == "not told"


@pytest.mark.parametrize("held", [True, False])
def test_what_is_listed_is_counted_before_it_is_found(held: bool):
    random = Random(0)
    for _ in range(MANY):
        one = listed(random, held=held)
        counted, last = one.reasoning[Effort.HIGH].split("\n")
        things = re.findall(r"(\d):([^.:]+)\.(\d)(?:,|$)", counted)
        assert [(first, second) for first, _, second in things] == [(str(n), str(n)) for n in range(1, len(things) + 1)]
        said = [thing for _, thing, _ in things]
        assert ", ".join(said) in one.question
        found = re.fullmatch(r"(?:([^.:]+)\.(\d)([+-])1=)?(\d):([^.:]+)", last)
        assert found, last
        known, number, sign, place, answer = found.groups()
        assert answer == one.answer == said[int(place) - 1]
        if known:
            assert known == said[int(number) - 1]
            assert int(place) == eval(f"{number}{sign}1")
            asked = f"{'after' if sign == '+' else 'before'} {known}"
            assert asked in one.question.replace("follows", "comes after")
        else:
            assert int(place) == (1 if "first" in one.question else len(things))


# What is read of a telling: the key that a sentence gives a value, told apart by its own words. The first that fits.
TELLS = (
    (r"(?:My|I have an?) ([a-z]+)(?: is called|'s name is| named| called) (.+)", None),
    (r"(?:Hello, )?my name(?: is|'s) (.+)|I am called (.+)|(?:You can )?Call me (.+)", "name"),
    (r"I live in (.+)|I'm living in (.+)|My home is in (.+)|I have moved to (.+)", "town"),
    (r"(?:I am|I'm) (\d+)(?: years old)?|My age is (.+)|I turned (\d+) this year", "age"),
    (r"(?:I work as|I am|I'm|I have a job as) an? (.+)", "job"),
    (r"I work (?:at|for) (.+)|I am employed by (.+)", "company"),
    (r"I (?:really )?like (.+?)(?: very much)?", "like"),
    (r"(?:Hi, )?(?:I am|I'm) (.+)", "name"),
    (r"(?:My |The |Remember: |Note that the )(.+?) is (.+)", None),
)
FAVOURITE = re.compile(r"(.+) is my (favou?rite \w+)")
# What a question asks for; all others name the key after "my", "the" or "Which".
ASKS = {
    "name": "my name|I called|who I am|Who am I",
    "town": "I live|my home",
    "age": "old|age",
    "job": "my job|I work as|for a living|profession",
    "company": "Where do I work|where I work|work for|my company",
    "like": "I like",
}
WORDINGS = 3000


def told(said: str) -> list[tuple[str, str]]:
    """The keys and values of a turn, read without the recipe."""
    sentences = re.split(r"\. | and (?=I\b|my |the )", said.removesuffix("."))
    return [fact for sentence in sentences if (fact := fact_of(sentence))]


def fact_of(sentence: str) -> tuple[str, str] | None:
    if found := FAVOURITE.fullmatch(sentence):
        return found[2], found[1]
    for pattern, key in TELLS:
        if found := re.fullmatch(pattern, sentence, re.IGNORECASE):
            groups = [group for group in found.groups() if group]
            return (key, groups[0]) if key else (groups[0].lower(), groups[1])
    return None


def asks_for(question: str, key: str) -> bool:
    named = re.search(rf"(?<!'s )\b{re.escape(key)}\b", question, re.IGNORECASE)
    return bool(named or (key in ASKS and re.search(ASKS[key], question, re.IGNORECASE)))


def facts_of(one: Problem) -> list[list[tuple[str, str]]]:
    return [told(question) if answer == "Noted." else [] for question, answer in one.earlier]


@pytest.mark.parametrize("held", [True, False])
def test_what_is_recalled_was_told_once_under_its_key(held: bool):
    random, keys = Random(0), set[str]()
    for _ in range(3 * MANY):
        one = memory(random, held=held, between=random.randrange(4))
        assert one.cell == "recall"
        facts = [fact for turn in facts_of(one) for fact in turn]
        assert len({key.replace("_", " ") for key, _ in facts}) == len(facts)
        key = next(key for key, _ in facts if one.reasoning[Effort.HIGH].startswith(f"{key} "))
        assert one.reasoning[Effort.HIGH] == f"{key} {one.answer}"
        assert (key, one.answer) in facts
        assert asks_for(one.question, key)
        keys.add(key)
    assert keys >= {*ASKS, "cat", "favourite colour"}
    assert any(" " in key for key in keys)
    assert any("_" in key for key in keys)


@pytest.mark.parametrize("held", [True, False])
@pytest.mark.parametrize("between", [0, 1, 2, 3])
def test_as_many_turns_as_said_are_between_telling_and_asking(between: int, held: bool):
    random = Random(0)
    for _ in range(3 * MANY):
        one = memory(random, held=held, between=between)
        holds = [one.answer in [given for _, given in turn] for turn in facts_of(one)]
        assert holds[len(holds) - 1 - between]


@pytest.mark.parametrize("held", [True, False])
def test_half_of_what_is_recalled_was_told_some_turns_before(held: bool):
    random = Random(0)
    recalled = [one for _ in range(5 * MANY) if (one := memory(random, held=held)).cell == "recall"]
    last = [one.answer in [given for _, given in facts_of(one)[-1]] for one in recalled]
    assert 0.4 < sum(last) / len(last) < 0.6
    asides = [any(answer != "Noted." for _, answer in one.earlier) for one in recalled]
    assert 0.25 < sum(asides) / len(asides) < 0.6


@pytest.mark.parametrize("held", [True, False])
def test_what_is_told_is_noted(held: bool):
    random = Random(0)
    drawn = [one for _ in range(5 * MANY) if (one := memory(random, held=held)).cell == "remember"]
    assert len(drawn) > MANY / 2
    assert all(one.answer == "Noted." and told(one.question) for one in drawn)


def wording(one: Problem) -> str:
    """A question without its key."""
    key = one.reasoning[Effort.HIGH].removesuffix(f" {one.answer}")
    known = key in ASKS
    return (
        (one.question if known else re.sub(rf"(?<!'s )\b{re.escape(key)}\b", "{}", one.question)).lower().rstrip("?.")
    )


def test_some_wordings_of_what_is_recalled_are_never_learned():
    random = Random(0)
    kept = [wording(memory(random, held=True, between=0)) for _ in range(WORDINGS)]
    learned = {wording(memory(random, held=False, between=0)) for _ in range(WORDINGS)}
    assert 0.4 < sum(one not in learned for one in kept) / WORDINGS < 0.6
    assert len(set(kept) - learned) >= 10


@pytest.mark.parametrize("held", [True, False])
def test_what_is_looked_up_is_behind_its_key(held: bool):
    random, spaced = Random(0), 0
    for _ in range(2 * MANY):
        one = lookup(random, held=held)
        key = one.reasoning[Effort.HIGH].removesuffix(f" {one.answer}")
        said = rf"(?:^|[,;.]? |\n){re.escape(key)}(?:: | = |=| is ){re.escape(one.answer)}(?=$|[,;.]? |\n|\.)"
        assert re.search(said, one.question), one.question
        spaced += " " in key
    assert spaced > MANY / 20


@pytest.mark.parametrize("held", [True, False])
def test_without_a_function_nothing_is_done(held: bool):
    random = Random(0)
    for _ in range(3 * MANY):
        one = without_functions(random, held=held)
        assert one.answer == NO_TOOL != NO_FUNCTION
        assert not one.calls
        assert not one.earlier


def beginning(question: str) -> str:
    """The first word, or the first after what opens a request."""
    opened = re.sub(r"^(hi|hey|so|quick question|could you tell me|i wonder)[,:]? ", "", question.lower())
    return " ".join(opened.split()[: 3 if opened.startswith("can ") else 2 if opened.startswith("please ") else 1])


@pytest.mark.parametrize("held", [True, False])
def test_what_needs_a_function_does_not_begin_like_what_is_not_known(held: bool):
    random = Random(0)
    needs = {beginning(without_functions(random, held=held).question) for _ in range(5 * MANY)}
    others = {beginning(unknown(random, held=kept).question) for kept in (True, False) for _ in range(20 * MANY)}
    assert not needs & others
    assert len(needs) > 10


def test_words_are_the_same_tokens_wherever_they_stand():
    tokens, random = vocabulary(), Random(0)
    for _ in range(MANY):
        one = word(random, held=False)
        alone = tokens.encode(one)
        for text in (f" {one}", f'"{one}"', f"_{one}", f"({one}", f"\n{one}", f": {one}."):
            found = tokens.encode(text)
            assert any(found[at : at + len(alone)] == alone for at in range(len(found))), text


def test_words_that_are_kept_are_never_learned():
    random = Random(0)
    draws = (word, name, identifier, value)
    kept = {draw(random, held=True) for draw in draws for _ in range(MANY)}
    learned = {draw(random, held=False) for draw in draws for _ in range(20 * MANY)}
    assert not {one.lower() for one in kept if one.isalpha()} & {one.lower() for one in learned if one.isalpha()}


@pytest.mark.parametrize("held", [True, False])
def test_a_call_names_a_declared_function_and_what_was_asked_for(held: bool):
    random = Random(0)
    for _ in range(MANY):
        toolset = Toolset(random, held=held)
        declared = {str(one["name"]): one["parameters"] for one in toolset.declarations()}
        one = toolset.draw(random)
        for use in one.calls:
            arguments, schema = json.loads(use.arguments), declared[use.function]
            assert isinstance(schema, dict)
            assert set(schema["required"]) <= set(arguments) <= set(schema["properties"])
            told = (given for given in arguments.values() if not isinstance(given, bool))
            assert all(str(given) in one.question for given in told)
        if not one.calls:
            assert one.answer == NO_FUNCTION or one.answer.startswith("Which ")


def test_what_came_back_is_what_is_said():
    random = Random(0)
    for _ in range(MANY):
        one = Toolset(random, held=False).single(random)
        result = json.loads(one.calls[0].result)
        assert all(str(given) in one.answer for given in result.values())


def test_two_calls_differ_in_one_value():
    random, seen = Random(0), 0
    for _ in range(MANY):
        one = Toolset(random, held=False).double(random)
        if len(one.calls) == 2:
            first, second = (json.loads(use.arguments) for use in one.calls)
            assert sum(first[key] != second[key] for key in first) == 1
            seen += 1
    assert seen > MANY / 2


def test_a_form_is_filled_as_its_schema_says():
    random = Random(0)
    for _ in range(MANY):
        form = Form(random, held=False)
        record = json.loads(form.draw(random).answer)
        schema = form.response_format().schema
        assert list(record) == list(schema["properties"])  # type: ignore[call-overload] # a mapping


def test_instructions_change_answers():
    random, one = Random(0), Problem("x", "What is 2 + 2?", "four")
    changed: dict[str, str] = {}
    for _ in range(MANY):
        instruction = Instruction.drawn(random, held=False)
        problem = instruction.applied(random, one)
        if problem.question == one.question:
            changed[instruction.cell] = problem.answer
        else:
            assert instruction.refused
            assert instruction.refused in problem.question
            assert instruction.refused in problem.answer
    assert changed["upper case"] == "FOUR"
    assert changed["begin with"].endswith(" four")
    assert changed["end with"].startswith("four ")
    assert changed["no change"] == "four"


def test_high_effort_looks_at_each_function_and_low_at_none():
    random = Random(0)
    for _ in range(MANY):
        toolset = Toolset(random, held=False)
        one = toolset.unfit(random)
        assert all(f"{function.title} no" in one.reasoning[Effort.HIGH] for function in toolset.functions)
        assert Effort.LOW not in one.reasoning


def of_kind(random: Random, kind: str) -> Instruction:
    while (one := Instruction.drawn(random, held=False, wide=True)).cell != kind:
        pass
    return one


def test_answers_have_at_most_the_words_asked_for():
    random, long = Random(0), Problem("x", "Hi", "one two three four five six seven")
    for _ in range(MANY):
        one = of_kind(random, "at most words")
        most = int(next(part for part in one.text.split() if part.isdigit()))
        answer = one.applied(random, long).answer
        assert len(answer.split()) == most
        assert long.answer.startswith(answer)


def test_greetings_are_of_the_language():
    random, one = Random(0), Problem("x", "What is 2 + 2?", "4")
    said: dict[str, set[str]] = {}
    for _ in range(MANY):
        instruction = of_kind(random, "language")
        answer = instruction.applied(random, one).answer
        if answer != "4":
            said.setdefault(answer, set()).add(instruction.text.rstrip(".").rsplit(" ", 1)[-1])
    assert said["Bonjour!"] == {"French"}
    assert all(len(languages) == 1 for languages in said.values())


def test_the_user_does_not_overrule_an_instruction():
    random, one = Random(0), Problem("x", "What is 2 + 2?", "four")
    for _ in range(MANY):
        instruction = of_kind(random, random.choice(("upper case", "begin with", "end with")))
        problem = instruction.defended(random, one)
        assert problem.answer == instruction.change("four") != "four"
        assert one.question in problem.question != one.question


def test_a_rival_asks_for_something_else_of_the_same_kind():
    random = Random(0)
    for _ in range(MANY):
        one = of_kind(random, random.choice(("begin with", "end with")))
        other = one.rival(random, held=False)
        assert other.cell == one.cell
        assert other.change("four") != one.change("four")


def test_what_the_user_wishes_becomes_of_the_answer():
    random, one = Random(0), Problem("x", "What is 2 + 2?", "four")
    for _ in range(MANY):
        problem = wished(random, one, held=False)
        assert one.question in problem.question
        added = problem.answer.replace("four", "").strip()
        assert problem.answer == "FOUR" or (added and added in problem.question)


@pytest.mark.parametrize("held", [True, False])
def test_what_was_not_told_is_not_recalled(held: bool):
    random, asked = Random(0), 0
    for _ in range(5 * MANY):
        one = memory(random, held=held)
        if one.cell == "not told":
            asked += 1
            key = one.reasoning[Effort.HIGH].removesuffix(" not told.")
            told = " ".join(text for text, answer in one.earlier if answer == "Noted.")
            assert one.answer == "You did not tell me that."
            assert not re.search(rf"(?<!'s )\b{re.escape(key)}\b (?:is|was) ", told)
    assert 0.1 < asked / (5 * MANY) < 0.2
