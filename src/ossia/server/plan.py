"""From what a client asks to what is done: the conversation, the rules, the parameters, and the settings to report."""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from ossia.engine import SamplingParams
from ossia.errors import ContextLengthError, ConversationError, RequestError
from ossia.grammar import Loosened, Rules
from ossia.harmony import (
    Conversation,
    DeveloperContent,
    Effort,
    Message,
    SystemContent,
    ToolNamespace,
    drop_finished_analysis,
    render,
)
from ossia.harmony import Tool as ShownTool
from ossia.server.ask import Ask, Replied, Thought, Tool
from ossia.server.dialogue import dialogue
from ossia.server.effort import effort_in_text
from ossia.server.faults import RefusedError
from ossia.server.models import Served
from ossia.server.recall import Recall

__all__ = ["Plan", "plan", "rules_of"]

ROOM = 4
"""With a bound on both, reasoning leaves at least one in so many of the tokens to the answer."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is to be done for one request. `settings` are those in effect, as the response echoes them."""

    ask: Ask
    conversation: Conversation
    prompt: tuple[int, ...]
    params: SamplingParams
    rules: Rules | None
    loosened: tuple[Loosened, ...]
    settings: Mapping[str, Any]

    def tool(self, recipient: str | None) -> Tool | None:
        """The tool that goes by this name, if it was offered."""
        return next((tool for tool in self.ask.tools if tool.recipient == recipient), None)


def plan(ask: Ask, served: Served, recall: Recall, client: bytes) -> Plan:
    """How to do what is asked, on this model.

    Raises RequestError and its kinds for what cannot be honoured.
    """
    with ask.placing():
        return _planned(ask, served, recall, client)


def _planned(ask: Ask, served: Served, recall: Recall, client: bytes) -> Plan:
    if ask.items and isinstance(ask.items[-1], Thought | Replied):
        # What follows would go on from it, as some clients mean it, or be another answer, as others do.
        raise RequestError(
            "the last message is the assistant's, and these models cannot go on from one; a user's message or a tool's "
            "result after it is right",
            param="prompt",
        )
    said = dialogue(ask.items, recall, client)
    instructions = "\n\n".join(filter(None, [ask.instructions, *said.instructions])) or None
    effort = ask.effort or effort_in_text(instructions or "") or served.defaults.effort
    opening = _opening(ask, effort, instructions)
    params = replace(served.defaults.params, **ask.sampling)
    try:
        messages, prompt, left_out = _fitting(opening, said.messages, ask, served, params)
    except ConversationError as error:
        raise _unshowable(ask, served, error) from error
    conversation = Conversation((*opening, *messages))
    rules = _rules(ask, params)
    loosened = served.checks.of(rules) if rules else ()
    settings = _settings(ask, served, params, rules) | {
        "effort": effort.value,
        "dropped_reasoning": len(messages) - len(drop_finished_analysis(messages)),
        "dropped_turns": left_out,
        "loosened": [_reported(each) for each in loosened],
    }
    return Plan(
        ask=ask,
        conversation=conversation,
        prompt=prompt,
        params=params,
        rules=rules,
        loosened=loosened,
        settings=settings,
    )


def rules_of(ask: Ask, served: Served) -> Rules | None:
    """What the answer must look like; None where nothing is masked. Raises RequestError."""
    return _rules(ask, replace(served.defaults.params, **ask.sampling))


def _opening(ask: Ask, effort: Effort, instructions: str | None) -> tuple[Message, ...]:
    content = SystemContent(reasoning_effort=effort, conversation_start_date=ask.date or date.today().isoformat())
    if ask.identity is not None:
        content = replace(content, model_identity=ask.identity)
    system = Message("system", content)
    if instructions is None and not ask.tools and not ask.formats:
        return (system,)
    return (system, Message("developer", DeveloperContent(instructions, _namespaces(ask), ask.formats)))


def _unshowable(ask: Ask, served: Served, error: ConversationError) -> RequestError:
    """The error that names which schema it is that the model cannot be shown."""
    alone = {tool.recipient: replace(ask, tools=(tool,), formats=()) for tool in ask.tools}
    alone |= {"answer": replace(ask, tools=(), formats=ask.formats)} if ask.formats else {}
    for name, part in alone.items():
        try:
            render(Conversation(_opening(part, Effort.LOW, None)), served.vocabulary, faithful=True)
        except ConversationError as found:
            return RequestError(f"the schema of {name} cannot be shown to the model: {found}", param=name)
    return RequestError(str(error), param="prompt")


def _namespaces(ask: Ask) -> dict[str, ToolNamespace]:
    names = dict.fromkeys(tool.namespace for tool in ask.tools)
    return {
        name: ToolNamespace(
            name, ask.namespaces.get(name), tuple(_shown(tool) for tool in ask.tools if tool.namespace == name)
        )
        for name in names
    }


def _shown(tool: Tool) -> ShownTool:
    parameters: Mapping[str, object] | None = {"type": "string"} if tool.custom else tool.parameters
    return ShownTool(tool.name, tool.description, parameters)


def _rules(ask: Ask, params: SamplingParams) -> Rules | None:
    if not ask.grammar:
        if asked := _only_guaranteed(ask):
            raise RequestError(
                f"grammar is off, and the request asks for what only a grammar guarantees: {', '.join(asked)}; one of "
                "the two is right",
                param="grammar",
            )
        return None
    tools = [tool for tool in ask.tools if ask.allowed is None or tool.recipient in ask.allowed]
    if ask.choice not in ("auto", "none", "required") and ask.choice not in {tool.recipient for tool in tools}:
        found = f"tool_choice names {ask.choice!r:.80}"
        raise RefusedError(f"{found}; one of the tools that are offered is right", param="tool_choice")
    if ask.choice == "required" and not tools:
        raise RefusedError("tool_choice is required, and no tool is offered; one is right", param="tool_choice")
    return Rules(
        tools=tuple(tool.rule for tool in tools),
        choice=ask.choice,
        parallel=ask.parallel,
        answer=ask.answer,
        max_reasoning_tokens=_reasoning(ask, params),
    )


def _only_guaranteed(ask: Ask) -> list[str]:
    """What of a request nothing but masks can hold."""
    asked = {
        "the form of the answer": ask.answer is not None,
        f"tool_choice {ask.choice}": ask.choice != "auto" and (ask.choice != "none" or bool(ask.tools)),
        "tool_choice allowed_tools": ask.allowed is not None,
        "calls one at a time": bool(ask.tools) and not ask.parallel,
        ask.paths.get("max_reasoning_tokens", "max_reasoning_tokens"): ask.max_reasoning_tokens is not None,
    }
    held = [f"the form of {tool.recipient}" for tool in ask.tools if tool.strict or tool.lark or tool.regex]
    return [name for name, wanted in asked.items() if wanted] + held


def _reasoning(ask: Ask, params: SamplingParams) -> int | None:
    """The bound on reasoning, lower where the answer would otherwise have no room."""
    if ask.max_reasoning_tokens is None or params.max_tokens is None:
        return ask.max_reasoning_tokens
    return min(ask.max_reasoning_tokens, params.max_tokens - -(-params.max_tokens // ROOM))


def _fitting(
    opening: Sequence[Message], messages: tuple[Message, ...], ask: Ask, served: Served, params: SamplingParams
) -> tuple[tuple[Message, ...], tuple[int, ...], int]:
    """The messages, their prompt, and how many of the oldest turns had to go so that it fits.

    Raises ContextLengthError where that is not allowed, or not enough.
    """
    starts = [0, *[index for index, message in enumerate(messages) if message.role == "user"][1:]]

    def without(count: int) -> tuple[tuple[Message, ...], tuple[int, ...]]:
        kept = _instructions(messages[: starts[count]]) + messages[starts[count] :]
        return kept, tuple(render(Conversation((*opening, *kept)), served.vocabulary, faithful=True))

    def fits(count: int) -> bool:
        return len(without(count)[1]) + (params.max_tokens or 1) <= served.tokens.context

    left_out = 0
    if ask.truncate:
        left_out = bisect_left(range(len(starts) - 1), True, key=fits)
    kept, prompt = without(left_out)
    _check_length(len(prompt), params.max_tokens, served.tokens.context)
    return kept, prompt, left_out


def _instructions(messages: Sequence[Message]) -> tuple[Message, ...]:
    return tuple(message for message in messages if message.role in ("system", "developer"))


def _check_length(prompt: int, max_tokens: int | None, context: int) -> None:
    if prompt + (max_tokens or 1) > context:
        raise ContextLengthError(
            f"the prompt has {prompt} tokens and the answer may take {max_tokens or 1} more, together "
            f"{prompt + (max_tokens or 1)}; the context holds {context}",
            param="prompt" if prompt >= context else "max_tokens",
        )


def _settings(ask: Ask, served: Served, params: SamplingParams, rules: Rules | None) -> dict[str, Any]:
    sampling = ("temperature", "top_p", "top_k", "min_p", "frequency_penalty", "presence_penalty", "max_tokens")
    return {
        "model": served.name,
        **served.settings,
        "context": served.tokens.context,
        **{name: getattr(params, name) for name in sampling},
        "stop": list(ask.stop),
        "grammar": rules is not None,
        "max_reasoning_tokens": rules.max_reasoning_tokens if rules else None,
        "parallel_tool_calls": ask.parallel,
        "declined": list(ask.declined),
        "passed_over": list(ask.passed_over),
    }


def _reported(loosened: Loosened) -> dict[str, str]:
    """What is reported of a keyword that the mask does not hold."""
    return {"where": loosened.where, "path": loosened.path, "keyword": loosened.keyword}
