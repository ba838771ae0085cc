"""The effort that a request asks for, in every spelling that clients use.

| spelling | who writes it |
|---|---|
| `reasoning_effort: "low"` | OpenAI's Chat Completions |
| `reasoning: {"effort": "low"}` | OpenAI's Responses |
| `think: true`, `false` or `"low"` | Ollama |
| `chat_template_kwargs: {"reasoning_effort": "low"}` | servers that render with Jinja |
| a line `Reasoning: low` in the instructions | the model card |

Several may be given if they agree. The line counts only where nothing else is given: it is part of a text.
"""

import re
from collections.abc import Mapping

from msgspec import Struct

from ossia.harmony import Effort
from ossia.server.faults import RefusedError

__all__ = ["LEVELS", "TemplateOptions", "effort_in_text", "effort_of", "resolve_effort"]

LEVELS: Mapping[str, Effort] = {effort.value: effort for effort in Effort} | {
    "minimal": Effort.LOW,
    "xhigh": Effort.HIGH,
    "max": Effort.HIGH,
}
"""What other models call their levels is the nearest that these have; the response says which it was."""

_LINE = re.compile(r"^\s*reasoning(?: effort)?:\s*(none|low|medium|high)\s*$", re.IGNORECASE | re.MULTILINE)


class TemplateOptions(Struct, forbid_unknown_fields=True):
    """What servers that render with Jinja understand."""

    reasoning_effort: str | None = None
    model_identity: str | None = None
    enable_thinking: bool | None = None


def resolve_effort(given: Mapping[str, object]) -> Effort | None:
    """The effort in the fields that are not None, by their names; None if there is none.

    Raises RefusedError for a value that is no effort, and for fields that contradict each other.
    """
    found = {name: _effort(name, value) for name, value in given.items() if value is not None}
    found = {name: effort for name, effort in found.items() if effort is not None}
    if len(set(found.values())) > 1:
        first = next(iter(found))
        said = ", ".join(f"{name} {effort.value}" for name, effort in found.items())
        raise RefusedError(f"the effort is given as {said}; one of them, or the same in all, is right", param=first)
    return next(iter(found.values()), None)


def effort_of(
    reasoning: str | None, effort: str | None, think: bool | str | None, template: TemplateOptions
) -> Effort | None:
    """The effort in the fields that Chat Completions and Responses have for it. Raises RefusedError likewise."""
    return resolve_effort(
        {
            "reasoning_effort": effort,
            "reasoning.effort": reasoning,
            "think": think,
            "chat_template_kwargs.reasoning_effort": template.reasoning_effort,
            "chat_template_kwargs.enable_thinking": template.enable_thinking,
        }
    )


def effort_in_text(text: str) -> Effort | None:
    """The effort that the last line `Reasoning: ...` of instructions names."""
    found = _LINE.findall(text)
    return Effort(found[-1].lower()) if found else None


def _effort(name: str, value: object) -> Effort | None:
    if isinstance(value, bool):
        # True only says that there is to be reasoning, which is so anyway.
        return None if value else Effort.NONE
    if isinstance(value, str) and value.lower() in LEVELS:
        return LEVELS[value.lower()]
    raise RefusedError(f"{name} is {value!r:.60}; one of {', '.join(LEVELS)} is right", param=name)
