"""Calls: of the python tool, judged by running the code; of the browser; and several functions in a row."""

import contextlib
import io
import json
import re
from random import Random

import pytest

from ossia.harmony import Effort, parse
from recipes.nano import browser_tool, python_tool
from recipes.nano.browser_tool import BROWSER, looked_up
from recipes.nano.case import Case, called
from recipes.nano.conversation import Format, Prefix, vocabulary
from recipes.nano.functions import Toolset
from recipes.nano.instructions import Instruction
from recipes.nano.problem import Problem
from recipes.nano.python_tool import PYTHON, code_question, parsed
from recipes.nano.sequences import chained, completed, paired, sequence
from recipes.nano.structured import Form

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


KINDS = (*browser_tool._FACTS, *python_tool._KINDS.values())  # pyright: ignore[reportPrivateUsage] # to draw of each


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kept)
def test_wordings_that_are_kept_are_never_drawn_to_learn_from(kind: object):
    def plain(text: str) -> str:
        return re.sub(r"[^a-z{}*+]+", " ", text.lower().replace("please", "")).strip()

    random = Random(0)
    learned = {kind.learned(random) for _ in range(2000)}  # type: ignore[attr-defined] # both kinds of kinds
    assert len(learned) >= 20
    assert kind.kept not in learned  # type: ignore[attr-defined]
    if "*" not in kind.kept and "+" not in kind.kept and "gcd(" not in kind.kept:  # type: ignore[attr-defined]
        assert plain(kind.kept) not in {plain(text) for text in learned}  # type: ignore[attr-defined]


def test_every_word_of_a_kept_wording_is_learned_elsewhere():
    random = Random(0)
    draws = (code_question, looked_up)
    words = {
        part
        for draw in draws
        for _ in range(5 * MANY)
        for part in re.findall(r"[a-z]+", draw(random, held=False).question.lower())
    }
    for kept in (kind.kept for kind in KINDS):
        assert set(re.findall(r"[a-z]+", re.sub(r"\{\w\}", "", kept).lower())) <= words, kept


@pytest.mark.parametrize("effort", [Effort.MEDIUM, Effort.HIGH])
def test_what_is_read_is_judged_line_by_line(effort: Effort):
    random, seen = Random(0), 0
    for _ in range(MANY):
        one = looked_up(random, held=True)
        for index, use in enumerate(one.calls):
            judged = re.findall(r"(\d)[^,]* (yes|no)", use.thought[effort])
            assert [yes for _, yes in judged][:-1] == ["no"] * (len(judged) - 1)
            if judged and judged[-1][1] == "yes":
                last = judged[-1][0]
                chosen = json.loads(one.calls[1].arguments)["id"] if index == 0 else one.answer[-3]
                assert last == str(chosen)
                seen += 1
    assert seen > MANY


def test_a_thought_after_a_result_is_learned_and_leaves_one_turn_for_each_call():
    random = Random(0)
    while len((one := looked_up(random, held=False)).calls) != 2:
        pass
    prefix = Prefix(Effort.HIGH, builtin=[BROWSER])
    document = FORM.document([], one, Effort.HIGH)
    learned = FORM.vocabulary.decode(
        [token for token, own in zip(document.tokens, document.learned, strict=True) if own]
    )
    assert all(f"<|message|>{use.thought[Effort.HIGH]}<|end|>" in learned for use in one.calls)
    for done, said in enumerate([*(called(use) for use in one.calls[1:]), ""], 1):
        case = Case(prefix, (), one, done)
        assert FORM.vocabulary.decode(case.prompt(FORM)).endswith(
            f"{one.calls[done - 1].result}<|end|><|start|>assistant"
        )
        end = (
            f"<|start|>assistant{said}"
            if said
            else f"<|start|>assistant<|channel|>final<|message|>{one.answer}<|return|>"
        )
        text = f"<|channel|>analysis<|message|>{one.calls[done - 1].thought[Effort.HIGH]}<|end|>{end}"
        assert text in learned
        assert case.right(text)
        assert case.valid(text)


def test_parameters_are_read_in_their_order_up_to_what_is_missing():
    random, seen = Random(0), 0
    for _ in range(MANY):
        toolset = Toolset(random, held=False)
        one = toolset.incomplete(random)
        if one.cell != "value missing":
            continue
        missing = one.answer.removeprefix("Which ").rstrip("?")
        read = one.reasoning[Effort.HIGH].split(". ", 1)[1]
        assert read.endswith(f"{missing} missing.")
        orders = [",".join(function.parameters) for function in toolset.functions]
        keys = ",".join(part.split(" ")[0] for part in read.split(","))
        assert any(order.startswith(keys) for order in orders)
        seen += 1
    assert seen > MANY / 2


def test_words_are_counted_up_to_what_is_allowed():
    random, long = Random(0), Problem("x", "Hi", "one two three four five six", {Effort.HIGH: "Hm."})
    while (one := Instruction.drawn(random, held=False, wide=True)).most != 3:
        pass
    assert one.applied(random, long).reasoning[Effort.HIGH] == "Hm. 1 one 2 two 3 three"


@HELD
def test_forms_have_lists_objects_and_choices_and_no_name_twice(held: bool):
    random, kinds = Random(0), set()
    for _ in range(MANY):
        fields = Form(random, held=held).fields
        inner = [(key, of) for one in fields.values() for key, of in one.get("properties", {}).items()]
        assert not {key for key, _ in inner} & set(fields)
        kinds |= {"enum" if "enum" in of else of["type"] for of in (*fields.values(), *(of for _, of in inner))}
    assert kinds == {"array", "object", "enum", "string", "integer", "boolean"}
