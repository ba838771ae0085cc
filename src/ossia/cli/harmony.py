"""`ossia harmony`: conversations to token ids and back, as JSON Lines."""

import argparse
import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ossia.errors import ConversationError, VocabularyError
from ossia.json_words import found

if TYPE_CHECKING:
    from ossia.harmony import Message, Repair, Vocabulary

HELP = "Render conversations to tokens, or parse tokens to messages, one a line."
EXAMPLE = "ossia harmony render conversations.jsonl --as training"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this verb."""
    parser.description = (
        'render: each line is a conversation in openai-harmony\'s JSON form, each result {"tokens": [...]}. '
        'parse: each line is {"tokens": [...]}, each result {"messages": [...], "repairs": [...]}; the tokens are '
        "what follows a prompt, or a whole conversation."
    )
    parser.add_argument("action", choices=("render", "parse"), help="what to do")
    parser.add_argument("file", metavar="FILE", help="a JSON Lines file, or - for standard input")
    parser.add_argument(
        "--as",
        dest="purpose",
        choices=("completion", "conversation", "training"),
        default="completion",
        help="render for the assistant to go on (default), as it stands, or with the last final closed by <|return|>",
    )
    parser.add_argument("--keep-analysis", action="store_true", help="render the analysis of finished turns, too")
    parser.add_argument("--faithful", action="store_true", help="render schemas in full where `any` is usual")
    parser.add_argument(
        "--role",
        choices=("assistant", "user", "system", "developer", "tool"),
        default="assistant",
        help="whose tokens to parse, when they begin after the role (default: assistant)",
    )
    parser.add_argument(
        "--vocabulary",
        metavar="PATH",
        type=Path,
        help="a model's tokenizer.json, or the folder that holds it (default: that of gpt-oss, embedded)",
    )


def run(options: argparse.Namespace) -> int:
    """Print one result for each line. Raises ConversationError for the first that is not right, by its number."""
    vocabulary = _vocabulary(options.vocabulary)
    for number, value in _lines(options.file):
        try:
            result = (
                _render(value, vocabulary, options)
                if options.action == "render"
                else _parse(value, vocabulary, options)
            )
        except ConversationError as error:
            raise ConversationError(f"{options.file}: line {number}: {error}") from error
        print(json.dumps(result))
    return 0


def _vocabulary(path: Path | None) -> "Vocabulary":
    from ossia.harmony import Vocabulary

    if path is None:
        return Vocabulary.embedded()
    file = path / "tokenizer.json" if path.is_dir() else path
    try:
        return Vocabulary.from_tokenizer_json(file.read_bytes())
    except OSError as error:
        right = "a model's tokenizer.json, or the folder that holds it, is right"
        raise VocabularyError(f"{file}: {error.strerror or error}; {right}") from error
    except VocabularyError as error:
        raise VocabularyError(f"{file}: {error}") from error


def _lines(file: str) -> Iterator[tuple[int, object]]:
    """The JSON of every line that is not empty, with its number from 1."""
    with _opened(file) as stream:
        for number, line in enumerate(stream, 1):
            if line.strip():
                yield number, _json(line, f"{file}: line {number}")


def _opened(file: str) -> AbstractContextManager[Iterable[bytes]]:
    if file == "-":
        return nullcontext(sys.stdin.buffer)
    try:
        return Path(file).open("rb")
    except OSError as error:
        right = "a file of JSON Lines, or - for standard input, is right"
        raise ConversationError(f"{file}: {error.strerror or error}; {right}") from error


def _json(line: bytes, where: str) -> object:
    try:
        return json.loads(line.decode(), parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        what = f"{error.msg} (column {error.colno})"  # its own text has a line too, which is always the first
    except (ValueError, RecursionError) as error:
        what = str(error)
    raise ConversationError(f"{where}: one JSON object would stand here: {what}")


def _no_constant(name: str) -> None:
    raise ValueError(f"JSON has no {name}")


def _render(value: object, vocabulary: "Vocabulary", options: argparse.Namespace) -> dict[str, Any]:
    from ossia.harmony import Conversation, render

    tokens = render(
        Conversation.from_json(value),
        vocabulary,
        as_=options.purpose,
        drop_analysis=not options.keep_analysis,
        faithful=options.faithful,
    )
    return {"tokens": tokens}


def _parse(value: object, vocabulary: "Vocabulary", options: argparse.Namespace) -> dict[str, Any]:
    from ossia.harmony import parse

    parsed = parse(_tokens(value), vocabulary, options.role)
    return {"messages": list(map(_message, parsed.messages)), "repairs": list(map(_repair, parsed.repairs))}


def _tokens(value: object) -> list[int]:
    tokens = value.get("tokens") if isinstance(value, dict) else None
    if not isinstance(tokens, list) or (isinstance(value, dict) and len(value) != 1):
        raise ConversationError('this would be {"tokens": [...]}, a list of token ids and nothing else')
    for index, token in enumerate(tokens):
        if type(token) is not int:
            raise ConversationError(f"tokens[{index}]: this would be a token id, a whole number; found {found(token)}")
    return tokens


def _message(message: "Message") -> dict[str, Any]:
    """A message flat; only a tool's or a named person's has a name."""
    named = {} if message.name is None else {"name": message.name}
    return {
        "role": message.role,
        **named,
        "channel": message.channel,
        "recipient": message.recipient,
        "content_type": message.content_type,
        "content": message.text,
    }


def _repair(repair: "Repair") -> dict[str, Any]:
    return {"kind": str(repair.kind), "position": repair.position, "text": repair.text}
