"""A turn on the screen while it is written."""

import io
import os
from typing import TextIO

from ossia.assistant import Drawn, Ended, Event, Kind, Text
from ossia.cli._display import visible
from ossia.harmony import Decoder, Vocabulary

__all__ = ["Printer"]


class Printer:
    """Shows a turn while it is written: the answer on one stream, reasoning and all remarks on another.

    A terminal gets the rest dimmed, and everything harmless; a file or a pipe gets the model's text as it is.
    """

    def __init__(self, answers: TextIO, remarks: TextIO, *, quiet: bool = False, raw: Vocabulary | None = None) -> None:
        self._answers = _Stream(answers)
        self._remarks = _Stream(remarks)
        self._quiet = quiet
        self._raw = raw and Decoder(raw)
        self._kind: Kind | None = None
        self._waiting = False

    def wait(self) -> None:
        """Show a person that the prompt is being read, until the first event."""
        if self._remarks.is_terminal and not self._quiet:
            self._remarks.write("…", dim=True)
            self._waiting = True

    def reading(self, done: int, total: int) -> None:
        """Show a person how far a long prompt has been read."""
        if self._waiting:
            self._remarks.wipe_line()
            self._remarks.write(f"… {done:,} of the prompt's {total:,} tokens read", dim=True)

    def show(self, event: Event) -> None:
        """Print what an event brings."""
        self._wipe()
        match event:
            case Drawn(tokens) if self._raw:
                self._answers.write("".join(map(self._raw.push, tokens)))
            case Text(kind, text, recipient) if not self._raw:
                self._say(kind, text, recipient)
            case Ended() if not self._raw:
                self._close()

    def finish(self) -> None:
        """End the last line."""
        self._wipe()
        if self._raw:
            self._answers.write(self._raw.finish())
        self._close()

    def remark(self, text: str) -> None:
        """Say something about the turn, on a line of its own."""
        if not self._quiet:
            self._close()
            self._remarks.write(f"{text}\n", dim=True)

    def complain(self, text: str) -> None:
        """Say what went wrong, even when quiet."""
        self._close()
        self._remarks.write(f"ossia: {text}\n")

    def _wipe(self) -> None:
        if self._waiting:
            self._waiting = False
            self._remarks.wipe_line()

    def _say(self, kind: Kind, text: str, recipient: str | None) -> None:
        if kind is Kind.ANSWER:
            self._answers.write(text)
        elif not self._quiet:
            if kind is Kind.CALL and self._kind is not kind:
                self._remarks.write(f"call to {recipient}: ", dim=True)
            self._remarks.write(text, dim=kind is not Kind.PREAMBLE)
        self._kind = kind

    def _close(self) -> None:
        """End the line of the message that is being written; reasoning on a terminal is set apart by an empty one."""
        self._remarks.end_line(apart=self._kind is Kind.REASONING and self._answers.is_terminal)
        self._answers.end_line()
        self._kind = None


class _Stream:
    """A text stream, and whether it stands at the beginning of a line."""

    def __init__(self, stream: TextIO) -> None:
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # an encoding that lacks a character must not end the answer
        self._stream = stream
        self._in_line = False
        self.is_terminal = stream.isatty()
        self._dims = self.is_terminal and "NO_COLOR" not in os.environ

    def write(self, text: str, dim: bool = False) -> None:
        if not text:
            return
        self._in_line = not text.endswith("\n")
        shown = visible(text) if self.is_terminal else text
        self._stream.write(f"\x1b[2m{shown}\x1b[22m" if dim and self._dims else shown)
        self._stream.flush()

    def wipe_line(self) -> None:
        self._stream.write("\r\x1b[K")
        self._stream.flush()
        self._in_line = False

    def end_line(self, apart: bool = False) -> None:
        if self._in_line:
            self.write("\n\n" if apart else "\n")
