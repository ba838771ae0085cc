"""What does not fit, in words: the whole path, what is there, what would be right."""

from typing import Any, ClassVar, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from ossia.server.faults import RefusedError
from ossia.server.mismatch import mismatch


class Function(Struct, forbid_unknown_fields=True):
    name: str
    strict: bool | None = None


class Text(Struct, tag="text", forbid_unknown_fields=True):
    text: str


class Image(Struct, tag="image", forbid_unknown_fields=True):
    refused: ClassVar[bool] = True


class User(Struct, tag="user", tag_field="role", forbid_unknown_fields=True):
    content: str | list[Text | Image]


class Assistant(Struct, tag="assistant", tag_field="role", forbid_unknown_fields=True):
    content: str | list[Text | Image]


class System(Struct, tag="system", tag_field="role", forbid_unknown_fields=True):
    content: str
    level: Literal["low", "high"] = "low"


class Body(Struct, forbid_unknown_fields=True):
    model: str = ""
    function: Function | None = None
    messages: list[User | Assistant | System] = []
    bias: dict[str, float] = {}
    most: int | None = None
    stream: bool | None = None


def refusal(value: Any, path: str = "") -> RefusedError:
    with pytest.raises(msgspec.ValidationError) as caught:
        msgspec.convert(value, Body)
    return mismatch(caught.value, value, Body, path)


@pytest.mark.parametrize(
    ("value", "param", "code", "says"),
    [
        ([1], None, "invalid_type", "the body is a list; an object is right"),
        ({"model": 1}, "model", "invalid_type", "model is 1; a string is right"),
        ({"model": None}, "model", "invalid_type", "model is null; a string is right"),
        ({"stream": "yes"}, "stream", "invalid_type", 'stream is "yes"; true or false is right'),
        ({"most": 1.5}, "most", "invalid_type", "most is 1.5; a whole number is right"),
        ({"most": "x" * 100}, "most", "invalid_type", f'most is "{"x" * 58}…; a whole number is right'),
        ({"modle": 1}, "modle", "unknown_field", "unknown field 'modle'; did you mean 'model'?"),
        ({"zzz": 1}, "zzz", "unknown_field", "unknown field 'zzz'; nothing here would honour it, and nothing is"),
        ({"function": {}}, "function.name", "missing_field", "the field 'function.name' is missing"),
        ({"function": {"name": "f", "strickt": 1}}, "function.strickt", "unknown_field", "did you mean 'strict'?"),
        ({"function": []}, "function", "invalid_type", "function is a list; an object is right"),
        ({"bias": {"a": 1, "b": "x"}}, "bias.b", "invalid_type", 'bias.b is "x"; a number is right'),
        (
            {"messages": [{"role": "boss", "content": ""}]},
            "messages[0].role",
            "invalid_value",
            'messages[0].role is "boss"; user, assistant or system is right',
        ),
        (
            {"messages": [{"content": ""}]},
            "messages[0].role",
            "missing_field",
            "the field 'messages[0].role' is missing; user, assistant or system is right",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "video"}]}]},
            "messages[0].content[0].type",
            "invalid_value",
            'messages[0].content[0].type is "video"; text is right',
        ),
        (
            {"messages": [{"role": "user", "content": 5}]},
            "messages[0].content",
            "invalid_type",
            "messages[0].content is 5; a string or a list is right",
        ),
        (
            {"messages": [{"role": "system", "content": "", "level": "mid"}]},
            "messages[0].level",
            "invalid_value",
            'messages[0].level is "mid"; high or low is right',
        ),
    ],
)
def test_the_field_at_fault_is_named(value: Any, param: str | None, code: str, says: str):
    error = refusal(value)
    assert (error.param, error.code) == (param, code)
    assert says in str(error) or says.replace("high or low", "low or high") in str(error)


def test_a_part_of_a_body_has_the_path_of_the_whole():
    assert refusal({"function": {}}, "tools[0]").param == "tools[0].function.name"
    assert refusal({"function": {"x": 1}}, "tools[0]").param == "tools[0].function.x"
    assert str(refusal([], "tools[0]")) == "tools[0] is a list; an object is right"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*Body.__struct_fields__, "`"]), inner),
)


@given(JSON | st.fixed_dictionaries({}, optional=dict.fromkeys(Body.__struct_fields__, JSON)))
def test_nothing_of_msgspecs_words_comes_through(value: Any):
    try:
        msgspec.convert(value, Body)
    except msgspec.ValidationError as error:
        said = mismatch(error, value, Body, "x")
        assert said.param is not None
        assert said.param.startswith("x")
        assert "$" not in str(said)
        assert "[...]" not in str(said)
        assert "Expected" not in str(said)
