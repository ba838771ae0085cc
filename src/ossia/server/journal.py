"""The journal: one line for each event on stderr, for people or as JSON.

It never has a header, a query or a key in it; and no words of a prompt, unless the operator asks. An error's message
may quote a prompt, so of an internal error only the kind and the place are written then.
"""

import json
import logging
import secrets
import sys
import traceback
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, TextIO

__all__ = ["REQUEST", "Formatter", "begin", "new_request"]

REQUEST: ContextVar[str | None] = ContextVar("ossia_request", default=None)
"""The id of the request that is being answered; everything that is written meanwhile has it."""

LOGGERS = ("ossia", "uvicorn.error")

_PLAIN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "color_message", "taskName"}
"""What every record has; the rest are the event's own fields."""


def new_request() -> str:
    """An id for a request, and from now on this task's `REQUEST`."""
    name = f"req_{secrets.token_hex(12)}"
    REQUEST.set(name)
    return name


def begin(form: str, prompts: bool, stream: TextIO | None = None, level: int = logging.INFO) -> None:
    """Write the journal to `stream`, by default stderr: `form` is text or json, `prompts` lets clients' words in."""
    out = logging.StreamHandler(stream or sys.stderr)
    out.setFormatter(Formatter(form, prompts))
    for name in LOGGERS:
        logger = logging.getLogger(name)
        logger.handlers = [out]
        logger.propagate = False
        logger.setLevel(level)
    # Who connects and disconnects is said by the guard, once and with what came of it.
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    logging.getLogger("uvicorn.access").handlers = []
    logging.getLogger("uvicorn.access").propagate = False


class Formatter(logging.Formatter):
    """A record as one line."""

    def __init__(self, form: str = "text", prompts: bool = False) -> None:
        super().__init__()
        self._json = form == "json"
        self._prompts = prompts

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        fields = {key: value for key, value in vars(record).items() if key not in _PLAIN}
        if request := REQUEST.get():
            fields.setdefault("request", request)
        if record.exc_info and record.exc_info[1] is not None:
            fields["traceback"] = self._traceback(record.exc_info[1])
        when = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        if self._json:
            named = {"time": when, "level": record.levelname.lower(), "message": record.getMessage()}
            return json.dumps(named | fields, default=str)
        words = " ".join(f"{key}={_readable(value)}" for key, value in fields.items() if key != "traceback")
        line = f"{when} {record.levelname.lower()} {_readable(record.getMessage(), spaces=True)} {words}".rstrip()
        # A traceback is for people; its lines are the program's own words.
        return f"{line}\n{fields['traceback']}" if "traceback" in fields else line

    def _traceback(self, error: BaseException) -> str:
        if self._prompts:
            return "".join(traceback.format_exception(error)).rstrip()
        places = traceback.format_list(traceback.extract_tb(error.__traceback__))
        kind = type(error)
        return f"{''.join(places)}{kind.__module__}.{kind.__qualname__} (its message may quote a prompt: --log-prompts)"


def _readable(value: Any, spaces: bool = False) -> str:
    """A value on one line; quoted where it would run into the next."""
    text = value if isinstance(value, str) else f"{value:.3f}" if isinstance(value, float) else str(value)
    plain = text.isprintable() and text.isascii() and (spaces or (not set(text) & set(' "=') and text))
    return text if plain else json.dumps(text)
