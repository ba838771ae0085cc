"""`ossia run`: one answer, or a chat where there is no prompt."""

import argparse
import os
import re
import select
import sys
from pathlib import Path
from typing import NoReturn, TextIO

from ossia.cli import _options
from ossia.cli._parser import Parser
from ossia.cli._streams import text_of
from ossia.errors import ModelNotFoundError, RequestError

HELP = "Answer a prompt; without one, open a chat."
EXAMPLE = """ossia run "What is 37 * 48?"
  ossia run nano "What is 37 * 48?" --effort high --json
  cat notes.txt | ossia run path/to/gpt-oss-20b "Summarise these notes."

A single argument is the prompt, unless it names a model: nano, an existing path, or a hub name such as
openai/gpt-oss-20b; then the prompt comes from stdin, and if that is a terminal, a chat opens. Two are MODEL
and PROMPT. What is piped in follows the prompt, after an empty line."""

HUB_NAME = re.compile(r"[A-Za-z][\w.-]*/[A-Za-z][\w.-]*")
WRITTEN_PATH = re.compile(r"\.{0,2}/\S*|\S+/")
"""What can only be meant as a path, whether or not anything is there: /models/x, ./x, ../x, x/."""

PATIENCE_SECONDS = 1.0
"""How long stdin may stay silent before we say that we wait for it."""


def arguments(parser: Parser) -> None:
    """Add the options of this verb."""
    parser.words, parser.advice = "words", '; a prompt that begins with a dash follows --: ossia run -- "-3 + 4"'
    parser.usage = "%(prog)s [MODEL] [PROMPT] [options]"
    parser.add_argument("words", nargs="*", metavar="[MODEL] [PROMPT]", help="see below")
    _options.add_answering(parser)
    _options.add_running(parser)
    _options.add_showing(parser)
    parser.add_argument(
        "--json", action="store_true", help="one object: answer, reasoning, messages, usage, settings, ..."
    )


def run(options: argparse.Namespace) -> int:
    """Answer, or hand over to the chat."""
    _options.calm_numpy(options)
    model, prompt = model_and_prompt(options.words)
    if options.json and options.raw:
        raise RequestError("--json and --raw are two forms of the same answer; one of them is right")
    piped = piped_text(sys.stdin)
    if prompt is None and piped is None:
        return _chat(model, options)
    text = "\n\n".join(part for part in (prompt and text_of(os.fsencode(prompt), "the prompt"), piped) if part)
    try:
        return _answer(model, text, options) if text.strip() else _refuse_empty(model)
    except ModelNotFoundError as error:
        raise ModelNotFoundError(f"{error}{_perhaps_a_prompt(options.words)}") from error


def _refuse_empty(model: str) -> NoReturn:
    """What is wrong with a model of this machine comes first: no prompt would be right for it."""
    from ossia.checkpoint import find, open_checkpoint
    from ossia.checkpoint.sources.names import is_remote

    if Path(model).exists() or not is_remote(model):
        open_checkpoint(find(model))
    raise RequestError(f'the prompt is empty; ossia run {model} "What is 37 * 48?" is right')


def _perhaps_a_prompt(words: list[str]) -> str:
    """The next step for someone who left out the quotes."""
    if len(words) < 2 or names_a_model(words[0]):
        return ""
    return f'; a prompt of several words stands in quotes: ossia run "{" ".join(words):.60}"'


def model_and_prompt(words: list[str]) -> tuple[str, str | None]:
    """Which model, and the prompt if there is one among the words. Raises RequestError for more than two."""
    match words:
        case []:
            return "nano", None
        case [word]:
            return (word, None) if names_a_model(word) else ("nano", word)
        case [model, prompt]:
            return model, prompt
    raise RequestError(f'{len(words)} words; a model and a prompt in quotes, "{" ".join(words)[:60]}", are right')


def names_a_model(word: str) -> bool:
    """Whether a word on its own is a model's name or path rather than a prompt."""
    from ossia.checkpoint.sources.names import names_a_published_model

    if word == "nano" or names_a_published_model(word) or HUB_NAME.fullmatch(word) or WRITTEN_PATH.fullmatch(word):
        return True
    try:
        path = Path(word)
        return (path / "config.json").is_file() or (path.is_file() and path.suffix in (".gguf", ".safetensors"))
    except (OSError, ValueError):  # too long for a file's name, or with a zero byte in it: a prompt
        return False


def piped_text(stdin: TextIO | None) -> str | None:
    """What was piped in, without the line feed at its end; None from a terminal."""
    if stdin is None or stdin.isatty():
        return None
    try:
        waiting = not select.select([stdin], [], [], PATIENCE_SECONDS)[0]
    except (OSError, ValueError):  # no file descriptor that can be waited for
        waiting = False
    if waiting:
        print("ossia: reading stdin to its end; `< /dev/null` says that there is nothing", file=sys.stderr)
    text = text_of(stdin.buffer.read(), "standard input") if hasattr(stdin, "buffer") else stdin.read()
    return text.removesuffix("\n")


def _chat(model: str, options: argparse.Namespace) -> int:
    from ossia.cli import chat

    if options.json:
        raise RequestError('--json needs a prompt; ossia run "What is 37 * 48?" --json is right')
    return chat.talk(model, options)


def _answer(model: str, text: str, options: argparse.Namespace) -> int:
    from ossia.cli._answer import answer

    return answer(model, text, options)
