"""The items of a stored conversation, page by page, in the form that OpenAI's types want."""

from collections.abc import Mapping, Sequence
from typing import Any

from ossia.server.faults import RefusedError
from ossia.server.responses.database import Row

__all__ = ["items_before", "page"]

MOST = 100
DEFAULT = 20
"""Source of both: OpenAI's API reference, "List input items"."""

Item = dict[str, Any]


def items_before(rows: Sequence[Row]) -> list[Item]:
    """What the model was given for the last of these rows: everything before it, and its own input."""
    *earlier, last = rows
    items = [item for row in earlier for item in [*row.input, *row.body["output"]]]
    return [_shown(item) for item in [*items, *last.input]]


def page(items: Sequence[Item], query: Mapping[str, str]) -> Item:
    """A page of items: `order`, `limit` and `after` say which. Raises RefusedError."""
    order = query.get("order", "desc")
    if order not in ("asc", "desc"):
        raise RefusedError(f"order is {order!r:.40}; asc or desc is right", param="order")
    limit = query.get("limit", str(DEFAULT))
    if not (limit.isascii() and limit.isdecimal() and len(limit) < 4 and 1 <= int(limit) <= MOST):
        raise RefusedError(f"limit is {limit!r:.40}; 1 to {MOST} is right", param="limit")
    ordered = list(items) if order == "asc" else list(reversed(items))
    start = _after(ordered, query.get("after"))
    found = ordered[start : start + int(limit)]
    return {
        "object": "list",
        "data": found,
        "first_id": found[0]["id"] if found else "",
        "last_id": found[-1]["id"] if found else "",
        "has_more": start + int(limit) < len(ordered),
    }


def _after(items: Sequence[Item], identifier: str | None) -> int:
    if identifier is None:
        return 0
    for place, item in enumerate(items):
        if item["id"] == identifier:
            return place + 1
    raise RefusedError(f"after is {identifier!r:.80}, which is none of these items", param="after")


def _shown(item: Item) -> Item:
    """An item as it is listed: what a client may leave out is filled in."""
    shown = {"status": "completed", **item}
    if item.get("type") == "message" and isinstance(item["content"], str):
        answered = item["role"] == "assistant"
        part: Item = {"type": "output_text", "annotations": []} if answered else {"type": "input_text"}
        shown["content"] = [{**part, "text": item["content"]}]
    return shown
