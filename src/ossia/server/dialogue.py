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
    """The messages of a conversation.

    Raises RefusedError for a result whose call is not there, and for a call or a result that comes twice.
    """
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
    """Translates one conversation, and remembers which calls have no result yet.

    An id may come again once its call has its result: some clients number the calls of each turn from 0.
    """

    def __init__(self, recall: Recall, client: bytes) -> None:
        self._recall = recall
        self._client = client
        self._open: list[Called] = []
        self._answered: set[str] = set()

    def messages(self, group: Sequence[Item]) -> Iterator[Message]:
        called = [item for item in group if isinstance(item, Called)]
        self._begin(called)
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

    def _begin(self, called: Sequence[Called]) -> None:
        for call in called:
            if call.id is not None and call.id in {other.id for other in self._open}:
                raise RefusedError(f"two calls have the id {call.id!r:.80}; one each is right", param=call.path or None)
            self._open.append(call)

    def _tool(self, item: Returned) -> str:
        """The full name of the tool that answers here, whose call has its result now."""
        for call in self._open:
            if _answers(item, call):
                self._open.remove(call)
                self._answered |= {call.id} if call.id else set()
                return call.recipient
        if item.id is not None and item.id in self._answered:
            said = f"a second result is for {item.id!r:.80}; one for each call is right"
        elif item.id is not None or item.name is not None:
            found = repr(item.name if item.id is None else item.id)
            said = f"a tool's result is for {found:.80}, and no call before it is; the call before its result is right"
        else:
            said = "a tool's result has neither id nor name, and no call before it waits for one; such a call is right"
        raise RefusedError(said, param=item.path or None)


def _answers(item: Returned, call: Called) -> bool:
    if item.id is not None:
        return call.id == item.id
    return item.name is None or call.recipient.rpartition(".")[2] == item.name


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
