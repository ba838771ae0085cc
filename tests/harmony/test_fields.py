from collections.abc import Callable

import pytest

from ossia.errors import ConversationError
from ossia.harmony.fields import Fields

GOOD = {"text": "a", "flag": True, "array": [1], "mapping": {"b": 1}, "null": None}


def test_fields_are_taken_one_by_one() -> None:
    fields = Fields(GOOD, "at")
    assert fields.text("text") == "a"
    assert fields.flag("flag") is True
    assert fields.array("array") == [1]
    assert fields.mapping("mapping") == {"b": 1}
    assert fields.optional_text("null", "default") is None
    assert fields.optional_text("missing", "default") == "default"
    assert fields.mapping("missing") is None
    assert fields.take("missing", 1) == 1
    fields.end()


@pytest.mark.parametrize("value", [0, "", [], {}, None, 1.5])
@pytest.mark.parametrize(
    ("method", "words", "right"),
    [
        (Fields.text, "a string", str),
        (Fields.flag, "true or false", bool),
        (Fields.array, "a list", list),
        (Fields.mapping, "an object or null", dict),
        (Fields.optional_text, "a string or null", str),
    ],
)
def test_a_field_of_another_type_is_named(
    value: object, method: Callable[[Fields, str], object], words: str, right: type
) -> None:
    fields = Fields({"here": value}, "at")
    if isinstance(value, right) or (value is None and "null" in words):
        assert method(fields, "here") == value
    else:
        with pytest.raises(ConversationError, match=f"^at.here: this would be {words}, found "):
            method(fields, "here")


def test_what_nobody_took_is_unknown() -> None:
    with pytest.raises(ConversationError, match=r"^more: there is no field of this name$"):
        Fields({"more": 1}, "").end()
