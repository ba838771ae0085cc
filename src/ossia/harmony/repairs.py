"""The ways in which a model's output departs from the format, and what is done about each."""

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Repair", "RepairKind"]


class RepairKind(StrEnum):
    """What was amiss. The words after each say what the parser did."""

    MISSING_START = "missing-start"
    """No `<|start|>` after the last message's end: a message of the same role begins here."""
    MISSING_ROLE = "missing-role"
    """`<|start|>` without a role: it is the role that the parser was made for."""
    UNKNOWN_ROLE = "unknown-role"
    """A word that is neither a role nor looks like a tool: the same."""
    MISSING_MESSAGE = "missing-message"
    """A header that ends without `<|message|>`: what is no header in it is the content."""
    UNFINISHED_HEADER = "unfinished-header"
    """The output ends within a header: the same."""
    LONG_HEADER = "long-header"
    """A header of more than 1,024 tokens is none: the same, and the content goes on."""
    MISSING_END = "missing-end"
    """`<|start|>` or `<|channel|>` within a content: the message ends before it."""
    STRAY_TOKEN = "stray-token"
    """A control token that means nothing where it stands: left out."""
    UNKNOWN_TOKEN = "unknown-token"
    """An id that the vocabulary does not have: U+FFFD."""
    EMPTY_CHANNEL = "empty-channel"
    """`<|channel|>` without a name: no channel."""
    UNKNOWN_CHANNEL = "unknown-channel"
    """A channel that the format does not know: kept as it is."""
    DUPLICATE_CHANNEL = "duplicate-channel"
    """More than one channel: the last."""
    EMPTY_RECIPIENT = "empty-recipient"
    """`to=` without a name: no recipient."""
    DUPLICATE_RECIPIENT = "duplicate-recipient"
    """More than one recipient: the last."""
    DUPLICATE_CONTENT_TYPE = "duplicate-content-type"
    """More than one `<|constrain|>`: the last."""
    HEADER_FORM = "header-form"
    """Parts of a header out of order, run together or apart: read as they are meant."""
    UNEXPECTED_TEXT = "unexpected-text"
    """Words in a header, or between messages, that are no part of either: kept here only."""


@dataclass(frozen=True, slots=True)
class Repair:
    """One departure: its kind, the index of the token where it was noticed, and the text that it concerns."""

    kind: RepairKind
    position: int
    text: str = ""
