"""How the command line's words are read."""

import pytest

from ossia.cli._parser import Parser


@pytest.fixture
def parser() -> Parser:
    made = Parser(prog="ossia run")
    made.words, made.advice = "words", "; a prompt follows --"
    made.add_argument("words", nargs="*")
    made.add_argument("--effort")
    made.add_argument("--json", action="store_true")
    return made


@pytest.mark.parametrize(
    ("words", "positionals", "effort"),
    [
        ([], [], None),
        (["a", "b"], ["a", "b"], None),
        (["a", "--effort", "low", "b"], ["a", "b"], "low"),
        (["--effort", "low", "a", "--json", "b"], ["a", "b"], "low"),
        (["a", "--", "--effort", "x"], ["a", "--effort", "x"], None),
        (["--effort", "low", "--", "-3"], ["-3"], "low"),
        (["--"], [], None),
        (["a", "--", "--", "b"], ["a", "--", "b"], None),
        (["--effort", "low", "-3 + 4"], ["-3 + 4"], "low"),
    ],
)
def test_words_anywhere(parser: Parser, words: list[str], positionals: list[str], effort: str | None):
    found = parser.parse_args(words)
    assert (found.words, found.effort) == (positionals, effort)


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--what"], "there is no option --what; a prompt follows --"),
        (["hi", "--efort", "low"], "there is no option --efort (did you mean --effort?); a prompt follows --"),
        (["--efort=low", "hi"], "there is no option --efort (did you mean --effort?); a prompt follows --"),
        (["--effort"], "argument --effort: expected one argument"),
    ],
)
def test_an_option_that_there_is_not(parser: Parser, capsys, words: list[str], complaint: str):
    with pytest.raises(SystemExit) as stop:
        parser.parse_args(words)
    assert stop.value.code == 2
    assert capsys.readouterr().err == f"ossia run: {complaint}; see `ossia run --help`\n"


def test_one_word_too_many(capsys):
    parser = Parser(prog="ossia show")
    parser.add_argument("model", nargs="?")
    with pytest.raises(SystemExit):
        parser.parse_args(["20b", "120b"])
    assert capsys.readouterr().err == "ossia show: '120b' is one word too many; see `ossia show --help`\n"


def test_help_is_printed_and_ends(parser: Parser, capsys):
    with pytest.raises(SystemExit) as stop:
        parser.parse_args(["--help"])
    assert stop.value.code == 0
    assert capsys.readouterr().out == parser.format_help()
