"""Options that several verbs share."""

import argparse

import pytest

from ossia.cli import _options


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "x", ""])
def test_whole_numbers(text: str):
    with pytest.raises(argparse.ArgumentTypeError, match="is not a whole number from 1 on"):
        _options.at_least(1)(text)
    assert _options.at_least(1)("7") == 7


def test_whole_numbers_with_an_end():
    assert _options.at_least(0, 2**64 - 1)(str(2**64 - 1)) == 2**64 - 1
    with pytest.raises(argparse.ArgumentTypeError, match="'1025' is not a whole number from 1 to 1024"):
        _options.at_least(1, 1024)("1025")


@pytest.mark.parametrize("text", ["-0.1", "1.1", "nan", "inf", "x"])
def test_fractions(text: str):
    with pytest.raises(argparse.ArgumentTypeError, match="is not a number from 0 to 1"):
        _options.fraction(0, 1)(text)
    assert _options.fraction(0, 1)("0.5") == 0.5


def test_fractions_above_the_lowest():
    for text in ("0", "-0.0", "1.1", "nan"):
        with pytest.raises(argparse.ArgumentTypeError, match="is not a number above 0, at most 1"):
            _options.fraction(0, 1, above=True)(text)
    assert _options.fraction(0, 1, above=True)("1") == 1.0


def test_no_token_is_left_by_a_top_p_of_0(capsys):
    parser = argparse.ArgumentParser()
    _options.add_answering(parser)
    with pytest.raises(SystemExit):
        parser.parse_args(["--top-p", "0"])
    assert "--top-p: '0' is not a number above 0, at most 1" in capsys.readouterr().err


def test_model_is_nano_when_left_out():
    parser = argparse.ArgumentParser()
    _options.add_model(parser)
    assert parser.parse_args([]).model == "nano"
