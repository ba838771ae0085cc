"""What the model wrote in earlier turns, kept for when the client sends the conversation back.

Clients drop the reasoning behind a call, and an answer encoded again may be other tokens than those that were written.
So each turn that ended with calls is kept under the calls' ids, and each answer under its text, both under the
client's salt: the next prompt then has the very tokens that the model wrote, and finds them in the prefix cache. What
is kept is bounded in bytes, forgotten after a time and lost with the process; then the client's own words are rendered.
"""

import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ossia.assistant import Kind
from ossia.harmony import Message

__all__ = ["Recall"]

TOKEN_BYTES = 40
"""What one kept token costs: an integer object and its place in a tuple."""

OVERHEAD = 1024
"""What an entry costs beside its text and tokens."""


@dataclass(frozen=True, slots=True)
class _Kept:
    messages: tuple[Message, ...]
    bytes: int
    expires: float


class Recall:
    """Kept turns, the least recently used forgotten first. For one thread."""

    def __init__(
        self, most_bytes: int = 256 << 20, seconds: float = 24 * 3600, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.bytes = 0
        self._most = most_bytes
        self._seconds = seconds
        self._clock = clock
        self._kept: OrderedDict[tuple[bytes, str], _Kept] = OrderedDict()

    @property
    def entries(self) -> int:
        """How many turns and answers are kept."""
        return len(self._kept)

    def keep(self, client: bytes, messages: Sequence[Message], call_ids: Sequence[str]) -> None:
        """Keep what a turn added; `call_ids` are the ids under which its calls went out, in their order."""
        spoken = tuple(message for message in messages if message.role == "assistant")
        for call_id in call_ids:
            self._put((client, f"call {call_id}"), spoken)
        for message in spoken:
            if Kind.of(message) is Kind.ANSWER and message.tokens is not None:
                self._put((client, _key(message.text)), (message,))

    def calls(self, client: bytes, call_id: str) -> tuple[Message, ...] | None:
        """All that the assistant said in the turn that this call ended; None if it is not kept."""
        return self._get((client, f"call {call_id}"))

    def answer(self, client: bytes, text: str) -> Message | None:
        """The answer with this text as the model wrote it; None if it is not kept."""
        kept = self._get((client, _key(text)))
        return kept[0] if kept else None

    def forget(self, client: bytes) -> None:
        """Forget all that is kept for a client."""
        for key in [key for key in self._kept if key[0] == client]:
            self._drop(key)

    def _put(self, key: tuple[bytes, str], messages: tuple[Message, ...]) -> None:
        self._drop(key)
        size = OVERHEAD + sum(len(m.text) * 4 + len(m.tokens or ()) * TOKEN_BYTES for m in messages)
        self._kept[key] = _Kept(messages, size, self._clock() + self._seconds)
        self.bytes += size
        now = self._clock()
        while self._kept and (self.bytes > self._most or next(iter(self._kept.values())).expires < now):
            self._drop(next(iter(self._kept)))

    def _get(self, key: tuple[bytes, str]) -> tuple[Message, ...] | None:
        kept = self._kept.get(key)
        if kept is None:
            return None
        if kept.expires < self._clock():
            self._drop(key)
            return None
        self._kept.move_to_end(key)
        return kept.messages

    def _drop(self, key: tuple[bytes, str]) -> None:
        kept = self._kept.pop(key, None)
        self.bytes -= kept.bytes if kept else 0


def _key(text: str) -> str:
    return f"answer {hashlib.blake2b(text.encode('utf-8', 'surrogatepass'), digest_size=16).hexdigest()}"
