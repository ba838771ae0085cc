"""Calls: of the python tool, judged by running the code; of the browser; and several functions in a row."""

import contextlib
import io
import json
import re
from random import Random

import pytest

from ossia.harmony import Effort, parse
from recipes.nano.browser_tool import BROWSER, looked_up
from recipes.nano.case import Case, called
from recipes.nano.conversation import Format, Prefix, vocabulary
from recipes.nano.functions import Toolset
from recipes.nano.problem import Problem
from recipes.nano.python_tool import PYTHON, code_question, parsed
from recipes.nano.sequences import chained, completed, paired, sequence

MANY = 300
FORM = Format(vocabulary())
HELD = pytest.mark.parametrize("held", [True, False])


@HELD
def test_the_code_prints_what_is_answered(held: bool):
    random, kinds = Random(0), set()
    for _ in range(MANY):
        one = code_question(random, held=held)
        (use,) = one.calls
        with contextlib.redirect_stdout(printed := io.StringIO()):
            exec(use.arguments, {})
        if not one.answer.startswith("Python failed"):
            assert printed.getvalue().strip() == use.result == one.answer
        else:
            assert use.result in one.answer
        numbers = set(re.findall(r"\d+", use.arguments)) - {"1"}
        assert numbers <= set(re.findall(r"\d+", one.question))
        kinds.add(one.cell)
    assert len(kinds) == 12


@pytest.mark.parametrize(
    ("text", "fine"),
    [("print(3*4)", True), ("print( 3 * 4 )\n", True), ("print(4*3)", False), ("print(3*4", False), ("\0", False)],
)
def test_code_counts_by_its_meaning(text: str, fine: bool):
    assert (parsed(text) == parsed("print(3*4)")) == fine


def test_deep_brackets_are_no_code():
    assert parsed("(" * 100_000) is None


@HELD
def test_what_is_cited_is_where_it_was_read(held: bool):
    random, cells = Random(0), {"found": 0, "nothing": 0, "failed": 0}
    for _ in range(MANY):
        one = looked_up(random, held=held)
        query = json.loads(one.calls[0].arguments)["query"]
        assert query in one.question
        if len(one.calls) == 2:
            link = json.loads(one.calls[1].arguments)["id"]
            assert f"【{link}†{query}†" in one.calls[0].result
        if cited := re.fullmatch(r"(.*)【(\d)†L(\d)】\.", one.answer):
            page = one.calls[int(cited[2])].result
            assert page.startswith(f"[{cited[2]}] ")
            assert f"L{cited[3]}: {cited[1]}." in page.split("\n")
            assert query in cited[1]
            assert len(cited[1].split()) <= 10  # as the tool's description asks
            cells["found"] += 1
        elif one.answer.startswith("The search failed: "):
            assert one.calls[-1].result.endswith(one.answer.removeprefix("The search failed: ").rstrip("."))
            cells["failed"] += 1
        else:
            assert one.answer == f"I found nothing about {query}."
            cells["nothing"] += 1
    assert min(cells.values()) > 10


@pytest.mark.parametrize("draw", [code_question, looked_up])
def test_questions_that_are_kept_are_never_learned(draw: object):
    def questions(held: bool) -> set[str]:
        random = Random(0)
        return {draw(random, held=held).question for _ in range(MANY)}  # type: ignore[operator] # a skill

    assert not questions(True) & questions(False)


@pytest.mark.parametrize(("tool", "draw"), [(PYTHON, code_question), (BROWSER, looked_up)])
def test_a_call_of_a_built_in_tool_is_read_as_such(tool: object, draw: object):
    one: Problem = draw(Random(5), held=False)  # type: ignore[operator] # a skill
    prefix = Prefix(Effort.HIGH, builtin=[tool])  # type: ignore[list-item] # a namespace
    case = Case(prefix, (), one)
    text = f"<|channel|>analysis<|message|>x<|end|><|start|>assistant{called(one.calls[0])}"
    assert case.right(text)
    assert case.valid(text)
    assert not Case(Prefix(Effort.HIGH), (), one).valid(text)
    assert not case.valid(text.replace("analysis code", "commentary code"))
    rest = FORM.document([], one, Effort.HIGH).tokens[len(case.prompt(FORM)) - len(FORM.prefix(prefix)) :]
    end = rest.index(FORM.vocabulary.call)
    messages = parse(rest[: end + 1], FORM.vocabulary)
    assert not messages.repairs
    assert messages.messages[-1].recipient == one.calls[0].recipient
    assert messages.messages[-1].text == one.calls[0].arguments


def test_arguments_that_do_not_fit_the_browser_are_not_valid():
    case = Case(Prefix(Effort.HIGH, builtin=[BROWSER]), (), looked_up(Random(5), held=False))
    header = "<|channel|>analysis code<|message|>"
    for text, fine in (('{"query": "x"}', True), ("{}", False), ('{"query": 3}', False), ('{"query": "x"', False)):
        assert case.valid(f" to=browser.search{header}{text}<|call|>") == fine
    for text, fine in (('{"id": 3}', True), ('{"id": "x.org"}', True), ('{"id": true}', False), ("{}", True)):
        assert case.valid(f" to=browser.open{header}{text}<|call|>") == fine
    assert not case.valid(f" to=browser.close{header}{{}}<|call|>")
    assert not case.valid(f" to=browser.search{header}{'[' * 100_000}<|call|>")


@HELD
def test_a_chain_hands_on_what_it_was_given(held: bool):
    random, seen, failed = Random(0), 0, 0
    for _ in range(MANY):
        one = chained(random, Toolset(random, held=held))
        if one is None:
            continue
        if one.cell == "chain, failed":
            assert "error" in one.calls[0].result
            assert len(one.calls) == 1
            failed += 1
        else:
            first, second = one.calls
            ((key, given),) = json.loads(first.result).items()
            assert f"its {key}" in one.question
            assert given in json.loads(second.arguments).values()
            assert first.function != second.function
            seen += 1
    assert seen > 20
    assert failed > 5


@HELD
def test_what_was_missing_is_what_is_given(held: bool):
    random, seen = Random(0), 0
    for _ in range(MANY):
        one = completed(random, Toolset(random, held=held))
        if one is None:
            continue
        ((_, asked),) = one.earlier
        missing = re.fullmatch(r"Which (\w+)\?", asked)
        assert missing
        given = json.loads(one.calls[0].arguments)[missing[1]]
        assert isinstance(given, bool) or str(given) in one.question
        seen += 1
    assert seen > MANY / 2


@HELD
def test_sequences_call_what_is_declared_with_what_fits(held: bool):
    random, cells = Random(0), set()
    for _ in range(MANY):
        toolset = Toolset(random, held=held)
        one = sequence(random, toolset)
        declared = [function.title for function in toolset.functions]
        case = Case(Prefix(Effort.HIGH, functions=toolset.declarations()), (), one)
        assert all(use.function in declared for use in one.calls)
        assert all(case.valid(called(use)) for use in one.calls)
        cells.add(one.cell)
    assert {"chain", "two functions", "value given later"} <= cells


def test_two_functions_are_two():
    random = Random(0)
    for _ in range(MANY):
        one = paired(random, Toolset(random, held=False))
        assert one is None or len({use.function for use in one.calls}) == 2
