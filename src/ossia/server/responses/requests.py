"""What a client of Responses sends.

Every field that the openai SDK can send is declared. Those that ask for something that is not done here are refused by
name when they ask for it; those whose answer is the same without them are taken and passed over, which their comment
says. Source: OpenAI's API reference, "Create a model response"; the extensions are ours or those that others have made
common (`think`, `chat_template_kwargs`, `top_k`, `min_p`), the same as in Chat Completions.
"""

from typing import Any

from msgspec import Struct

from ossia.server.effort import TemplateOptions
from ossia.server.faults import RefusedError
from ossia.server.mismatch import either
from ossia.server.sampling import StreamOptions

__all__ = ["CountRequest", "CreateRequest", "JsonObject", "JsonSchema", "refuse_what_is_not_here"]

MOST_METADATA = 16
LONGEST_KEY = 64
LONGEST_VALUE = 512
"""Source of the three: OpenAI's API reference, "metadata"."""


class Reasoning(Struct, forbid_unknown_fields=True):
    effort: str | None = None
    # Nothing here makes summaries: the whole reasoning is in each reasoning item, as its content.
    summary: str | None = None
    generate_summary: str | None = None  # the older name
    context: str | None = None
    mode: str | None = None


class Plain(Struct, tag="text", forbid_unknown_fields=True):
    pass


class JsonObject(Struct, tag="json_object", forbid_unknown_fields=True):
    """The answer is any JSON object."""


class JsonSchema(Struct, tag="json_schema", forbid_unknown_fields=True):
    """The answer is JSON that follows a schema."""

    name: str
    schema: dict[str, Any]
    description: str | None = None
    strict: bool | None = None  # the schema is held either way


class TextOptions(Struct, forbid_unknown_fields=True):
    format: Plain | JsonObject | JsonSchema | None = None
    verbosity: str | None = None


class CountRequest(Struct, forbid_unknown_fields=True, kw_only=True):
    """The body of POST /v1/responses/input_tokens, and what it shares with that of POST /v1/responses."""

    model: str | None = None
    input: str | list[dict[str, Any]] | None = None
    instructions: str | None = None
    previous_response_id: str | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    reasoning: Reasoning | None = None
    text: TextOptions | None = None
    truncation: str | None = None
    # Refused when they ask for something.
    conversation: Any = None
    personality: str | None = None


class CreateRequest(CountRequest, forbid_unknown_fields=True, kw_only=True):
    """The body of POST /v1/responses."""

    stream: bool | None = None
    stream_options: StreamOptions | None = None
    background: bool | None = None
    store: bool | None = None
    include: list[str] | None = None
    metadata: dict[str, str] | None = None
    max_output_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_logprobs: int | None = None
    top_k: int | None = None
    min_p: float | None = None
    seed: int | None = None
    stop: str | list[str] | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    logit_bias: dict[str, float] | None = None
    grammar: str | dict[str, Any] | None = None
    reasoning_effort: str | None = None
    think: bool | str | None = None
    chat_template_kwargs: TemplateOptions | None = None
    max_reasoning_tokens: int | None = None
    # Taken and passed over: the answer is the same without them.
    max_tool_calls: int | None = None  # bounds calls that the server itself answers, and it answers none
    user: str | None = None
    safety_identifier: str | None = None
    client_metadata: Any = None  # Codex's notes for its own journal
    prompt_cache_key: str | None = None  # prefixes are found again without being named
    prompt_cache_retention: str | None = None
    prompt_cache_options: dict[str, Any] | None = None
    image: Any = None  # how images are packed; there are none
    # Refused when they ask for something.
    service_tier: str | None = None
    prompt: Any = None
    moderation: Any = None
    context_management: Any = None
    access_programs: Any = None
    background_options: Any = None


INCLUDABLE = {
    "reasoning.encrypted_content",
    "message.output_text.logprobs",
    # What these add belongs to items that are never made here.
    "file_search_call.results",
    "web_search_call.results",
    "web_search_call.action.sources",
    "message.input_image.image_url",
    "computer_call_output.output.image_url",
    "code_interpreter_call.outputs",
}
"""Source: OpenAI's API reference, "include"."""

_WORDS = {
    "service_tier": (None, "auto", "default"),
    "truncation": (None, "auto", "disabled"),
    "reasoning.summary": (None, "auto", "concise", "detailed", "none"),
    "reasoning.generate_summary": (None, "auto", "concise", "detailed"),
    "reasoning.context": (None, "auto", "current_turn"),
    "reasoning.mode": (None, "standard"),
    "text.verbosity": (None, "medium"),
}
"""The values that mean what is done here: there is one verbosity and one tier, and reasoning goes with its turn."""

_ABSENT = {
    "conversation": "previous_response_id continues a stored response, and input may hold what was said before",
    "personality": "instructions can say how to speak",
    "prompt": "no templates are kept here; instructions and input can be sent in full",
    "moderation": "no moderation runs here",
    "context_management": 'nothing is compacted here; truncation "auto" drops whole old turns',
    "access_programs": "there are none here",
    "background_options": "what runs in the background begins at once",
}


def refuse_what_is_not_here(body: CountRequest) -> None:
    """Raise RefusedError for a field that asks for something that is not done here."""
    for name, remedy in _ABSENT.items():
        if getattr(body, name, None) not in (None, [], {}):
            raise RefusedError(f"{name} is not supported: {remedy}", param=name, code="unsupported")
    for name, right in _WORDS.items():
        value = _at(body, name)
        if value not in right:
            words = either([str(word) for word in right if word])
            raise RefusedError(f"{name} is {value!r:.80}; {words} is right", param=name)
    if isinstance(body, CreateRequest):
        _check_include(body.include or [])
        _check_metadata(body.metadata or {})
        if body.background and body.store is False:
            raise RefusedError(
                "background is true and store is false; what runs in the background has to be stored",
                param="background",
            )


def _at(body: CountRequest, name: str) -> object:
    value: object = body
    for part in name.split("."):
        value = getattr(value, part, None)
    return value


def _check_include(include: list[str]) -> None:
    for place, name in enumerate(include):
        if name not in INCLUDABLE:
            known = ", ".join(sorted(INCLUDABLE))
            raise RefusedError(f"include has {name!r:.80}; known: {known}", param=f"include[{place}]")


def _check_metadata(metadata: dict[str, str]) -> None:
    if len(metadata) > MOST_METADATA:
        raise RefusedError(f"metadata has {len(metadata)} entries; at most {MOST_METADATA} are right", param="metadata")
    for key, value in metadata.items():
        if len(key) > LONGEST_KEY or len(value) > LONGEST_VALUE:
            raise RefusedError(
                f"metadata has a key of {len(key)} characters with a value of {len(value)}; at most {LONGEST_KEY} and "
                f"{LONGEST_VALUE} are right",
                param="metadata",
            )
