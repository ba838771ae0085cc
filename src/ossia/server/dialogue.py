"""What was said before, from an API's items to the messages that are rendered.

Instructions at the beginning become the developer's message; later ones stay where they are. What the model itself said
is taken as the tokens that it was, where they are still kept and the client has not changed it.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from ossia.assistant import Kind
from ossia.harmony import DeveloperContent, Message
from ossia.server.ask import Called, Item, Replied, Returned, Spoken, Thought
from ossia.server.faults import RefusedError
from ossia.server.recall import Recall

__all__ = ["Dialogue", "dialogue"]

JSON = "<|constrain|>json"
"""The content type of a call, as the model itself writes it."""


@dataclass(frozen=True)
class Dialogue:
    """The instructions from before anything was said, and what was said then."""

    instructions: tuple[str, ...]
    messages: tuple[Message, ...]


def dialogue(items: Sequence[Item], recall: Recall, client: bytes) -> Dialogue:
    """The messages of a conversation. Raises RefusedError for a result whose call is not there."""
    leading = 0
    while leading < len(items) and _instructs(items[leading]):
        leading += 1
    said = _Said(recall, client)
    messages = tuple(message for group in _turns(items[leading:]) for message in said.messages(group))
    return Dialogue(tuple(item.text for item in items[:leading] if isinstance(item, Spoken)), messages)


def _instructs(item: Item) -> bool:
    return isinstance(item, Spoken) and item.role != "user"


def _turns(items: Sequence[Item]) -> Iterator[list[Item]]:
    """The items, neighbours of the assistant's together."""
    for _, group in groupby(items, key=lambda item: isinstance(item, Thought | Replied | Called)):
        yield list(group)


class _Said:
    """Translates one conversation, and remembers which tool each call was for."""

    def __init__(self, recall: Recall, client: bytes) -> None:
        self._recall = recall
        self._client = client
        self._calls: dict[str, str] = {}
        self._unnamed: list[str] = []

    def messages(self, group: Sequence[Item]) -> Iterator[Message]:
        called = [item for item in group if isinstance(item, Called)]
        self._unnamed = [call.recipient for call in called if call.id is None] or self._unnamed
        self._calls |= {call.id: call.recipient for call in called if call.id is not None}
        if kept := self._kept(group, called):
            yield from kept
            return
        for index, item in enumerate(group):
            yield self._message(item, calls_follow=any(isinstance(later, Called) for later in group[index + 1 :]))

    def _message(self, item: Item, *, calls_follow: bool) -> Message:
        match item:
            case Spoken("user", text, name):
                return Message("user", text, name=name)
            case Spoken(_, text):
                return Message("developer", DeveloperContent(text))
            case Thought(text):
                return Message("assistant", text, channel="analysis")
            case Replied(text, preamble):
                return self._reply(text, calls_follow if preamble is None else preamble)
            case Called(_, recipient, arguments, custom):
                kind = None if custom else JSON
                return Message("assistant", arguments, channel="commentary", recipient=recipient, content_type=kind)
            case Returned():
                return Message("tool", item.text, channel="commentary", recipient="assistant", name=self._tool(item))

    def _reply(self, text: str, preamble: bool) -> Message:
        if preamble:
            return Message("assistant", text, channel="commentary")
        return self._recall.answer(self._client, text) or Message("assistant", text, channel="final")

    def _kept(self, group: Sequence[Item], called: Sequence[Called]) -> tuple[Message, ...] | None:
        """The turn that these calls ended, if the client sends back its calls as they were, and no other words."""
        if not called or called[0].id is None:
            return None
        kept = self._recall.calls(self._client, called[0].id)
        if kept is None:
            return None
        calls = [message for message in kept if Kind.of(message) is Kind.CALL]
        if len(calls) != len(called) or not all(map(_same, calls, called)):
            return None
        thoughts = _joined(item.text for item in group if isinstance(item, Thought))
        replies = _joined(item.text for item in group if isinstance(item, Replied))
        unchanged = thoughts in ("", _of(kept, Kind.REASONING)) and replies in ("", _of(kept, Kind.PREAMBLE))
        return kept if unchanged else None

    def _tool(self, item: Returned) -> str:
        """The full name of the tool that answers here."""
        if item.id is not None and item.id in self._calls:
            return self._calls[item.id]
        if item.id is None and item.name is not None:
            called = [name for name in self._unnamed if name.rpartition(".")[2] == item.name]
            return called[0] if called else f"functions.{item.name}"
        if item.id is None and self._unnamed:
            return self._unnamed.pop(0)
        found = (
            "a tool's result has neither id nor name" if item.id is None else f"a tool's result is for {item.id!r:.80}"
        )
        raise RefusedError(
            f"{found}, and no call before it is; the call before its result is right",
            param=item.path or None,
            code="invalid_value",
        )


def _joined(texts: Iterable[str]) -> str:
    return "\n\n".join(filter(None, texts))


def _of(messages: Sequence[Message], kind: Kind) -> str:
    return _joined(message.text for message in messages if Kind.of(message) is kind)


def _same(message: Message, called: Called) -> bool:
    """Whether the client sends back the very call that the model made; the JSON may be written otherwise."""
    if message.recipient != called.recipient:
        return False
    if message.text == called.arguments:
        return True
    try:
        return json.loads(message.text) == json.loads(called.arguments)
    except (ValueError, RecursionError):
        return False
