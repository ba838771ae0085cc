"""Items as clients send them, against the types of the openai package."""

import typing
from typing import Any

import msgspec
import pytest
from openai.types.responses import response_input_item_param as theirs

from ossia.server.responses.items import _KINDS, ABSENT

ALWAYS = {"type", "id", "status"}

ITEMS: dict[str, Any] = {}
for _item in typing.get_args(theirs.ResponseInputItemParam):
    _type = typing.get_type_hints(_item).get("type")
    for _word in typing.get_args(_type):
        words = typing.get_args(_word) or (_word,)
        ITEMS |= {word: _item for word in words if isinstance(word, str)}


def test_every_type_of_item_is_read_or_refused_by_name():
    known = {*_KINDS, *ABSENT, "item_reference"}
    assert set(ITEMS) - known == set()


@pytest.mark.parametrize("kind", sorted(set(_KINDS) & set(ITEMS)))
def test_every_field_that_the_openai_package_can_send_is_known(kind: str):
    struct, _ = _KINDS[kind]
    fields = {each.encode_name for each in msgspec.structs.fields(struct)}
    if kind in ("mcp_list_tools", "mcp_approval_request"):
        assert not fields, "passed over as a whole, and reported"
        return
    sent = set(typing.get_type_hints(ITEMS[kind]))
    assert sent - fields - ALWAYS == set()
