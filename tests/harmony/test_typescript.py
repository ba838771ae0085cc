import json
from collections.abc import Callable

import openai_harmony
import pytest
from hypothesis import given

from ossia.errors import ConversationError
from ossia.harmony.typescript import to_json_text, to_typescript
from tests.harmony.makers import Maker, seeds, tries


def theirs(judge: openai_harmony.HarmonyEncoding, schema: dict[str, object]) -> str:
    tool = openai_harmony.ToolDescription.new("f", "", schema)
    content = openai_harmony.DeveloperContent.new().with_function_tools([tool])
    message = openai_harmony.Message.from_role_and_content(openai_harmony.Role.DEVELOPER, content)
    text = judge.decode(judge.render(message))
    return text.split("type f = (_: ", 1)[1].rsplit(") => any;", 1)[0]


def test_schemas_are_written_as_the_judge_writes_them(judge: openai_harmony.HarmonyEncoding) -> None:
    @tries(500)
    @given(seed=seeds)
    def check(seed: int) -> None:
        schema = Maker(seed).schema()
        if isinstance(schema, dict):
            assert to_typescript(schema) == theirs(judge, schema)

    check()


# Parts of the form that are easily taken for mistakes, each seen in the judge's own words.
@pytest.mark.parametrize(
    ("schema", "written"),
    [
        ({"anyOf": [{"type": "string"}]}, "any"),
        ({"type": "array", "items": {"type": "string", "enum": ["a", "b"]}}, '"a" | "b"[]'),
        ({"type": "integer", "enum": [1, 2]}, "number"),
        ({"type": ["integer", "null"]}, "number | null"),
        ({"type": "object", "properties": {}}, "{\n}"),
        ({"type": "object", "description": "top", "properties": {"a b": {}}}, "// top\n{\na b?: any,\n}"),
        (
            {"type": "object", "properties": {"o": {"type": "object", "description": "twice\nsaid"}}},
            "{\n// twice\nsaid\no?:     // twice\nsaid\n{\n    },\n}",
        ),
    ],
)
def test_oddities_are_kept(schema: dict[str, object], written: str, judge: openai_harmony.HarmonyEncoding) -> None:
    assert to_typescript(schema) == written == theirs(judge, schema)


def test_a_schema_without_end_is_refused() -> None:
    schema: dict[str, object] = {"type": "string"}
    for _ in range(128):
        schema = {"type": "array", "items": schema}
    assert to_typescript(schema) == "string" + "[]" * 128
    with pytest.raises(ConversationError, match="128 levels"):
        to_typescript({"type": "array", "items": schema})


@pytest.mark.parametrize("value", [1e-5, -1.5e-5, 1e-6, 1e16, 123456789012345.0, -0.0, 2**64, 2**63, 'é\x01"', [{}]])
def test_json_is_written_as_the_judge_writes_it(value: object, judge: openai_harmony.HarmonyEncoding) -> None:
    written = theirs(judge, {"type": "object", "properties": {"a": {"type": "number", "default": [value]}}})
    assert f"// default: [{to_json_text(value)}]" in written
    assert json.loads(to_json_text(value)) == value


@pytest.mark.parametrize(("value", "words"), [(10**400, "1024 bits; this one has 1329"), (-(10**4000), "1024 bits")])
def test_a_number_beyond_every_float_is_refused(value: int, words: str) -> None:
    with pytest.raises(ConversationError, match=words):
        to_json_text([value])


@pytest.mark.parametrize("wrap", [lambda value: [value], lambda value: {"a": value}])
def test_a_value_without_end_is_refused(wrap: Callable[[object], object]) -> None:
    value: object = 1
    for _ in range(128):
        value = wrap(value)
    assert json.loads(to_json_text(value)) == value
    for _ in range(600):
        value = wrap(value)
    with pytest.raises(ConversationError, match="128 levels"):
        to_typescript({"type": "object", "properties": {"a": {"type": "array", "default": value}}})


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object(), {"a": {1}}])
def test_what_json_cannot_hold_is_refused(value: object) -> None:
    with pytest.raises(ConversationError, match="cannot hold"):
        to_json_text(value)
