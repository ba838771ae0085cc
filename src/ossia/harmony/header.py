"""The header of a message: who speaks, on which channel, to whom, in what type of content.

    {role or tool}[:name][ to=recipient][<|channel|>channel[ to=recipient]][ type | [ ]<|constrain|>type]

Headers that openai-harmony accepts are read as it reads them (a word without `to=` is a recipient when no other is
there), but for those that it reads wrongly without a word: see `tests/harmony/test_parse.py`.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple, cast

from ossia.harmony.messages import CHANNELS, ROLES, Role
from ossia.harmony.repairs import RepairKind

__all__ = ["Header", "Mark", "Opening", "Piece", "Reading", "read_header", "salvage_header"]

Mark = Literal["", "channel", "constrain"]
Opening = Literal["given", "start", "none"]
"""How a header begins: the role is given by the prompt, `<|start|>` stands before it, or nothing does."""

CONSTRAIN = "<|constrain|>"

_SPACE = re.compile(r"[ \t\n\f\r]+")
_CHANNEL = re.compile(r"[^\s<]*")
_NAMED_ROLE = re.compile(r"(system|developer|user|assistant):(.*)", re.DOTALL)
_GLUED_ROLE = re.compile(rf"(system|developer|user|assistant)(to=.*|{'|'.join(CHANNELS)})", re.DOTALL)
_GLUED_CHANNEL = re.compile(rf"({'|'.join(CHANNELS)})(to=.*)", re.DOTALL)

# What may be read off the front of a header that has no `<|message|>`; all that follows is content.
_LEADING_ROLE = re.compile(rf"\s*({'|'.join(ROLES)})(?::(\S+))?(?!\S)")
_LEADING_RECIPIENT = re.compile(r"\s*to=([\w.:/@-]+)")
_LEADING_CHANNEL = re.compile(rf"\s*({'|'.join(CHANNELS)}|[^\s<]*)")
_LEADING_TYPE = re.compile(r" ?([\w.+/-]*)")


class Piece(NamedTuple):
    """A stretch of a header's text, and the control token before it."""

    mark: Mark
    text: str


@dataclass(frozen=True, slots=True)
class Header:
    """What a header says."""

    role: Role
    name: str | None = None
    channel: str | None = None
    recipient: str | None = None
    content_type: str | None = None


class Reading(NamedTuple):
    """A header, the content that stood in it, and what was amiss."""

    header: Header
    content: str
    found: list[tuple[RepairKind, str]]


def read_header(pieces: Sequence[Piece], opening: Opening, default: Role) -> Reading:
    """The header in the pieces before a `<|message|>`; `default` is the role where none is said."""
    found: list[tuple[RepairKind, str]] = []
    channel, words = _split(pieces, found)
    header, words = _role(words, opening, default, found)
    channel, words = _bare_channel(channel, words, found)
    header = replace(header, channel=channel)
    if header.channel is not None and header.channel not in CHANNELS:
        found.append((RepairKind.UNKNOWN_CHANNEL, header.channel))
    return Reading(_address(header, words, opening, found), "", found)


def salvage_header(pieces: Sequence[Piece], opening: Opening, default: Role) -> Reading:
    """The header at the front of the pieces, which no `<|message|>` follows, and the content that is all the rest."""
    found: list[tuple[RepairKind, str]] = []
    header, text = _leading_role(pieces[0].text, opening, default, found)
    recipient, rest = _leading(_LEADING_RECIPIENT, text)
    header, content = replace(header, recipient=recipient), [rest]
    for mark, text in pieces[1:]:
        if mark == "constrain":
            kind, rest = _leading(_LEADING_TYPE, text)
            header = _set(header, found, content_type=CONSTRAIN + (kind or ""))
        else:
            channel, rest = _leading(_LEADING_CHANNEL, text)
            recipient, rest = _leading(_LEADING_RECIPIENT, rest)
            header = _set(header, found, channel=channel, recipient=recipient)
        content.append(rest)
    return Reading(header, "".join(content).removeprefix(" "), found)


def _set(header: Header, found: list[tuple[RepairKind, str]], **fields: str | None) -> Header:
    """The header with those of the fields that are not None; what they replace is reported."""
    for name, value in fields.items():
        before: str | None = getattr(header, name)
        if value is not None and before is not None:
            found.append((RepairKind(f"duplicate-{name.replace('_', '-')}"), before))
    return replace(header, **{name: value for name, value in fields.items() if value is not None})


def _split(pieces: Sequence[Piece], found: list[tuple[RepairKind, str]]) -> tuple[str | None, list[str]]:
    """The channel, and the words of all the rest; `<|constrain|>` begins a word."""
    text, channels = "", list[str]()
    for mark, piece in pieces:
        if mark == "constrain":
            text += f" {CONSTRAIN}{piece}"
        elif mark == "channel":
            match = _CHANNEL.match(piece)
            end = match.end() if match else 0
            name, rest = _unglue(piece[:end], found)
            channels.append(name)
            text += rest + piece[end:]
        else:
            text += piece
    named = [name for name in channels if name]
    if len(named) < len(channels):
        found.append((RepairKind.EMPTY_CHANNEL, ""))
    if len(named) > 1:
        found.append((RepairKind.DUPLICATE_CHANNEL, " ".join(named[:-1])))
    return (named[-1] if named else None), [word for word in _SPACE.split(text.strip()) if word]


def _unglue(name: str, found: list[tuple[RepairKind, str]]) -> tuple[str, str]:
    """A channel's name, and the recipient that runs on from it."""
    glued = _GLUED_CHANNEL.fullmatch(name)
    if glued is None:
        return name, ""
    found.append((RepairKind.HEADER_FORM, name))
    return glued[1], f" {glued[2]}"


def _role(
    words: list[str], opening: Opening, default: Role, found: list[tuple[RepairKind, str]]
) -> tuple[Header, list[str]]:
    first, rest = (words[0], words[1:]) if words else ("", [])
    if opening == "given":
        return Header(default), rest if first == default else words
    if first in ROLES:
        return Header(cast(Role, first), "tool" if first == "tool" else None), rest
    if named := _NAMED_ROLE.fullmatch(first):
        return Header(cast(Role, named[1]), named[2]), rest
    if opening == "none":
        return Header(default), words
    if not first or first.startswith(("to=", CONSTRAIN)):
        found.append((RepairKind.MISSING_ROLE, ""))
        return Header(default), words
    if glued := _GLUED_ROLE.fullmatch(first):
        if glued[2] not in CHANNELS:  # `_bare_channel` reports those
            found.append((RepairKind.HEADER_FORM, first))
        return Header(cast(Role, glued[1])), [glued[2], *rest]
    if rest or "." in first or first == "python":
        return Header("tool", first), rest
    found.append((RepairKind.UNKNOWN_ROLE, first))
    return Header(default), rest


def _bare_channel(
    channel: str | None, words: list[str], found: list[tuple[RepairKind, str]]
) -> tuple[str | None, list[str]]:
    """The channel and the other words, where one of them names a channel without a `<|channel|>` before it."""
    names = [word for word in words if word in CHANNELS]
    if not names:
        return channel, words
    kind = RepairKind.HEADER_FORM if channel is None else RepairKind.DUPLICATE_CHANNEL
    found.append((kind, " ".join(names)))
    return channel or names[0], [word for word in words if word not in CHANNELS]


def _address(header: Header, words: list[str], opening: Opening, found: list[tuple[RepairKind, str]]) -> Header:
    """The header with the recipient and the content type that the words give."""
    words = _joined(words, found)
    to = [word for word in words if word.startswith("to=")]
    kinds = [word for word in words if word.startswith(CONSTRAIN)]
    bare = [word for word in words if word not in to and word not in kinds]
    if opening != "none" and len(bare) <= (not to) + (not kinds):
        # As openai-harmony has it: a lone word is the recipient, of two the second is the content type.
        to, bare = (to, bare) if to else (bare[:1], bare[1:])
        kinds, bare = (kinds, bare) if kinds else (bare[:1], bare[1:])
    for kind, group in ((RepairKind.DUPLICATE_RECIPIENT, to), (RepairKind.DUPLICATE_CONTENT_TYPE, kinds)):
        if len(group) > 1:
            found.append((kind, " ".join(group[:-1])))
    if to and kinds and words.index(to[-1]) > words.index(kinds[-1]):
        found.append((RepairKind.HEADER_FORM, " ".join(words)))
    if bare:
        found.append((RepairKind.UNEXPECTED_TEXT, " ".join(bare)))
    recipient = to[-1].removeprefix("to=") if to else None
    if recipient == "":
        found.append((RepairKind.EMPTY_RECIPIENT, ""))
    return replace(header, recipient=recipient or None, content_type=kinds[-1] if kinds else None)


def _joined(words: list[str], found: list[tuple[RepairKind, str]]) -> list[str]:
    """The words, with a `to=` or a `<|constrain|>` joined to the word that a space has set apart from it."""
    joined: list[str] = []
    for word in words:
        if joined and joined[-1] in ("to=", CONSTRAIN) and not word.startswith(("to=", CONSTRAIN)):
            joined[-1] += word
            found.append((RepairKind.HEADER_FORM, joined[-1]))
        else:
            joined.append(word)
    return joined


def _leading_role(
    text: str, opening: Opening, default: Role, found: list[tuple[RepairKind, str]]
) -> tuple[Header, str]:
    role = _LEADING_ROLE.match(text)
    # Without a `<|start|>` before it, "user" may as well begin a sentence: it is a role only when it stands alone.
    if role and (opening == "start" or role.end() == len(text.rstrip())):
        name = "tool" if role[1] == "tool" else role[2]
        return Header(cast(Role, role[1]), name), text[role.end() :]
    if opening == "start":
        found.append((RepairKind.MISSING_ROLE, ""))
    return Header(default), text


def _leading(pattern: re.Pattern[str], text: str) -> tuple[str | None, str]:
    match = pattern.match(text)
    return (match[1] or None, text[match.end() :]) if match else (None, text)
