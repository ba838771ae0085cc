import json

import pytest

from ossia.errors import GrammarError
from ossia.grammar import Choice, JsonObject, JsonSchema, Lark, Regex, Rules, ToolRule

ALL = [
    Rules(),
    Rules(answer=JsonSchema({"type": "object", "properties": {"z": {}, "a": {"const": "ü"}}}, strict=False)),
    Rules(answer=JsonObject(), max_reasoning_tokens=0),
    Rules(answer=Regex(r"\d+"), parallel=False),
    Rules(answer=Choice(("yes", "no"))),
    Rules(answer=Lark('start: "a"')),
    Rules(
        tools=(
            ToolRule(recipient="functions.add", parameters={"type": "object"}, strict=True),
            ToolRule(recipient="python", text=True, channel="analysis"),
            ToolRule(recipient="functions.patch", text=True, lark='start: "b"'),
        ),
        choice="functions.add",
    ),
]


@pytest.mark.parametrize("rules", ALL)
def test_rules_survive_as_text(rules: Rules):
    assert Rules.from_source(rules.to_source()) == rules


def test_the_order_of_properties_survives():
    schema = JsonSchema({"properties": {"z": {}, "a": {}}})
    read = Rules.from_source(Rules(answer=schema).to_source()).answer
    assert isinstance(read, JsonSchema)
    assert isinstance(read.schema, dict)
    assert list(read.schema["properties"]) == ["z", "a"]


def test_what_is_as_by_default_takes_no_room():
    assert Rules().to_source() == "{}"


@pytest.mark.parametrize(
    "source",
    [
        "", "[]",
        "{", '{"tools": 5}', '{"tools": [5]}', '{"tools": [{}]}', '{"answer": 1}', '{"answer": {"type": "x"}}',
        '{"answer": {"type": []}}', '{"answer": {"type": "choice", "values": 5}}', '{"nothing": 1}',
        '{"tools": [{"recipient": "a", "nothing": 1}]}', "[" * 100_000,
    ],
)  # fmt: skip
def test_other_text_is_refused(source: str):
    with pytest.raises(GrammarError):
        Rules.from_source(source)


def test_what_is_not_json_is_refused():
    with pytest.raises(GrammarError, match="not JSON"):
        Rules(answer=JsonSchema({"const": float("nan")})).to_source()
    with pytest.raises(GrammarError, match="not JSON"):
        Rules(answer=JsonSchema({"const": {1, 2}})).to_source()


def test_too_long_a_text_is_refused_unread():
    with pytest.raises(GrammarError, match="at most 1048576"):
        Rules.from_source(json.dumps({"answer": {"type": "regex", "pattern": "a" * 2**20}}))


def test_what_may_be_called():
    tools = (ToolRule(recipient="a"), ToolRule(recipient="b"))
    offered = {choice: Rules(tools=tools, choice=choice).offered for choice in ("auto", "none", "required", "b")}
    assert offered == {"auto": tools, "none": (), "required": tools, "b": tools[1:]}
    assert [Rules(tools=tools, choice=choice).call_due for choice in offered] == [False, False, True, True]
