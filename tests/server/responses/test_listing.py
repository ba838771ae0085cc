"""Pages of items."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ossia.server.faults import RefusedError
from ossia.server.responses.database import Row
from ossia.server.responses.listing import items_before, page
from tests.server.responses.responding import judged_item


@given(st.integers(0, 30), st.integers(1, 100), st.sampled_from(["asc", "desc"]))
def test_pages_hold_every_item_once_and_in_order(count: int, limit: int, order: str):
    items = [{"id": f"item_{number}"} for number in range(count)]
    query = {"limit": str(limit), "order": order}
    found: list[dict[str, str]] = []
    while True:
        part = page(items, query)
        assert len(part["data"]) <= limit
        found += part["data"]
        if not part["has_more"]:
            break
        query["after"] = part["last_id"]
    assert found == (items if order == "asc" else items[::-1])


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ({"order": "up"}, "order"),
        ({"limit": "0"}, "limit"),
        ({"limit": "101"}, "limit"),
        ({"limit": "ten"}, "limit"),
        ({"limit": "٣"}, "limit"),
        ({"after": "item_9"}, "after"),
    ],
)
def test_what_is_no_page_is_refused(query: dict[str, str], param: str):
    with pytest.raises(RefusedError) as caught:
        page([{"id": "item_1"}], query)
    assert caught.value.param == param


def test_items_are_shown_as_openais_types_want_them():
    given_items = [
        {"id": "a", "type": "message", "role": "user", "content": "Hi"},
        {"id": "b", "type": "message", "role": "assistant", "content": "Yes"},
        {"id": "c", "type": "message", "role": "developer", "content": [{"type": "input_text", "text": "Be."}]},
        {"id": "d", "type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
        {"id": "e", "type": "function_call_output", "call_id": "c", "output": "1"},
        {"id": "f", "type": "custom_tool_call", "call_id": "c", "name": "f", "input": "x"},
        {"id": "g", "type": "custom_tool_call_output", "call_id": "c", "output": "1"},
        {"id": "h", "type": "reasoning", "summary": []},
    ]
    row = Row(id="resp_1", owner="me", body={"output": []}, input=given_items)
    shown = [judged_item(item) for item in items_before([row])]
    assert [item["id"] for item in shown] == list("abcdefgh")
    assert shown[0]["content"] == [{"type": "input_text", "text": "Hi"}]
    assert shown[1]["content"][0]["type"] == "output_text"
