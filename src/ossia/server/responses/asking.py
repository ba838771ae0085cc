"""From a request of Responses, and what was stored before it, to an `Ask`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ossia.server.ask import Ask
from ossia.server.clients import Client
from ossia.server.effort import TemplateOptions, effort_of
from ossia.server.faults import RefusedError
from ossia.server.responses.items import Reading, later_tools
from ossia.server.responses.requests import (
    CountRequest,
    CreateRequest,
    JsonObject,
    JsonSchema,
    refuse_what_is_not_here,
)
from ossia.server.responses.tools import Offer, choice, offer
from ossia.server.sampling import biases, check_streaming, plain, reasoning_limit, stop_strings
from ossia.server.structure import Form, checked_name, free_form, json_form, schema_form

__all__ = ["Asked", "ask_of"]

MOST_LOGPROBS = 20
MOST_TOKENS = 2**31 - 1


@dataclass(frozen=True)
class Asked:
    """What is asked, and what of the request the response has to repeat."""

    ask: Ask
    offered: Offer


def ask_of(body: CountRequest, earlier: Sequence[Mapping[str, Any]], new: Sequence[Any], client: Client) -> Asked:
    """What a request asks for, after the items of earlier responses. Raises RefusedError with the field at fault."""
    refuse_what_is_not_here(body)
    if not earlier and not new:
        raise RefusedError("input is missing or empty; a text, or at least one item, is right", param="input")
    items = [*earlier, *new]
    offered = offer(body.tools or [], later_tools(items))
    reading = Reading(client, offered)
    said = tuple(reading.read(items, len(earlier)))
    picked, allowed = choice(body.tool_choice, offered)
    form = _form(body)
    whole = body if isinstance(body, CreateRequest) else CreateRequest()
    check_streaming(whole.stream, whole.stream_options)
    template = whole.chat_template_kwargs or TemplateOptions()
    ask = Ask(
        items=said,
        instructions=body.instructions or None,
        effort=effort_of(body.reasoning and body.reasoning.effort, whole.reasoning_effort, whole.think, template),
        identity=template.model_identity,
        tools=offered.tools,
        namespaces=dict(offered.namespaces),
        choice=picked,
        allowed=allowed,
        parallel=body.parallel_tool_calls is not False,
        answer=form.answer,
        formats=form.formats,
        grammar=form.grammar,
        sampling=_sampling(whole),
        stop=stop_strings(whole.stop),
        max_reasoning_tokens=reasoning_limit({"max_reasoning_tokens": whole.max_reasoning_tokens})[0],
        truncate=body.truncation == "auto",
        declined=offered.declined,
        passed_over=tuple(reading.passed_over),
        paths={
            "prompt": "input",
            "answer": form.path,
            "max_tokens": "max_output_tokens",
            "logprobs": "top_logprobs",
        },
    )
    return Asked(ask, offered)


def _form(body: CountRequest) -> Form:
    match body.text and body.text.format:
        case JsonObject():
            form = json_form()
        case JsonSchema(name, schema, description):
            form = schema_form(checked_name(name, "text.format.name"), schema, "text.format.schema", description)
        case _:
            form = Form()
    return free_form(getattr(body, "grammar", None), form, "text.format")


def _sampling(body: CreateRequest) -> dict[str, Any]:
    wanted = plain(body)
    if body.max_output_tokens is not None:
        if not 1 <= body.max_output_tokens <= MOST_TOKENS:
            found = f"max_output_tokens is {body.max_output_tokens}"
            raise RefusedError(f"{found}; 1 to {MOST_TOKENS} is right", param="max_output_tokens")
        wanted["max_tokens"] = body.max_output_tokens
    if body.logit_bias:
        wanted["logit_bias"] = biases(body.logit_bias)
    top = _from_zero("top_logprobs", body.top_logprobs)
    if top is not None and top > MOST_LOGPROBS:
        raise RefusedError(f"top_logprobs is {top}; 0 to {MOST_LOGPROBS} is right", param="top_logprobs")
    if top or "message.output_text.logprobs" in (body.include or []):
        wanted["logprobs"] = top or 0
    return wanted


def _from_zero(name: str, value: int | None) -> int | None:
    if value is not None and value < 0:
        raise RefusedError(f"{name} is {value}; a number from 0 on is right", param=name)
    return value
