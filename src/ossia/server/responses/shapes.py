"""What comes back, as the OpenAPI document shows it."""

from typing import Any

from msgspec import UNSET, Struct, UnsetType

__all__ = ["Count", "Deleted", "Listing", "Response", "StreamEvent"]


class Response(Struct, kw_only=True, forbid_unknown_fields=True):
    """A response, begun or over. `ossia` has the settings in effect and, at the end, what the turn added to them."""

    id: str
    object: str
    created_at: int
    completed_at: int | None
    status: str
    background: bool
    error: dict[str, Any] | None
    incomplete_details: dict[str, Any] | None
    model: str
    instructions: str | None
    previous_response_id: str | None
    output: list[dict[str, Any]]
    usage: dict[str, Any] | None
    tools: list[dict[str, Any]]
    tool_choice: str | dict[str, Any]
    parallel_tool_calls: bool
    reasoning: dict[str, Any]
    text: dict[str, Any]
    temperature: float | None
    top_p: float | None
    top_logprobs: int
    max_output_tokens: int | None
    max_tool_calls: int | None
    truncation: str
    store: bool
    service_tier: str
    metadata: dict[str, str]
    user: str | None
    safety_identifier: str | None
    prompt_cache_key: str | None
    ossia: dict[str, Any]


class StreamEvent(Struct, kw_only=True):
    """One event; what else it has follows from its type, as OpenAI's reference says."""

    type: str
    sequence_number: int
    response: Response | UnsetType = UNSET
    item: dict[str, Any] | UnsetType = UNSET
    item_id: str | UnsetType = UNSET
    output_index: int | UnsetType = UNSET
    content_index: int | UnsetType = UNSET
    delta: str | UnsetType = UNSET


class Deleted(Struct, kw_only=True):
    """A response that is stored no more."""

    id: str
    object: str = "response"
    deleted: bool = True


class Listing(Struct, kw_only=True):
    """A page of items."""

    object: str
    data: list[dict[str, Any]]
    first_id: str
    last_id: str
    has_more: bool


class Count(Struct, kw_only=True):
    """How many tokens the prompt of a request has."""

    input_tokens: int
    object: str = "response.input_tokens"
