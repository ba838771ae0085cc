"""Options that several verbs share."""

import argparse

import pytest

from ossia.cli import _options


@pytest.fixture
def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(exit_on_error=False)
    made.add_argument("words", nargs="*")
    made.add_argument("--effort")
    made.add_argument("--json", action="store_true")
    _options.among_options(made, "words")
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
    ],
)
def test_words_anywhere(parser: argparse.ArgumentParser, words: list[str], positionals: list[str], effort: str | None):
    found = parser.parse_args(words)
    assert (found.words, found.effort) == (positionals, effort)


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "x", ""])
def test_whole_numbers(text: str):
    with pytest.raises(argparse.ArgumentTypeError, match="is not a whole number from 1 on"):
        _options.at_least(1)(text)
    assert _options.at_least(1)("7") == 7


@pytest.mark.parametrize("text", ["-0.1", "1.1", "nan", "inf", "x"])
def test_fractions(text: str):
    with pytest.raises(argparse.ArgumentTypeError, match="is not a number from 0 to 1"):
        _options.fraction(0, 1)(text)
    assert _options.fraction(0, 1)("0.5") == 0.5


def test_model_is_nano_when_left_out():
    parser = argparse.ArgumentParser()
    _options.add_model(parser)
    assert parser.parse_args([]).model == "nano"
