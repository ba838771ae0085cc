"""What reaches the terminal."""

import io
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ossia.cli._display import Progress, one_line, visible


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred", "\\x1b[31mred"),
        ("\x9b31m", "\\x9b31m"),  # C1: one byte for ESC [
        ("a\rb", "a\\rb"),
        ("user\u202eresu", "user\\u202eresu"),
        ("\u2066x\u2069", "\\u2066x\\u2069"),
        ("\U000e0041", "\\U000e0041"),
        ("\x00\x07\x08\x7f", "\\x00\\x07\\x08\\x7f"),
    ],
)
def test_what_a_terminal_would_obey_is_written_out(text: str, shown: str):
    assert visible(text) == shown


def test_ordinary_text_stays():
    text = "Grüße, 你好, שלום, مرحبا, 👩‍👩‍👧 \t x\n"
    assert visible(text) == text


@given(st.text())
def test_nothing_that_is_left_is_a_control_character(text: str):
    assert all(c in "\t\n" or (ord(c) >= 0x20 and not 0x7F <= ord(c) < 0xA0) for c in visible(text))


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_is_drawn_on_a_terminal_and_wiped(monkeypatch):
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    with Progress("reading") as progress:
        progress.show(1, 2)
    assert terminal.getvalue().startswith("\rreading ━━")
    assert " 50%" in terminal.getvalue()
    assert terminal.getvalue().endswith("\r\x1b[K")


def test_progress_is_silent_elsewhere(monkeypatch):
    monkeypatch.setattr(sys, "stderr", file := io.StringIO())
    with Progress("reading") as progress:
        progress.show(1, 2)
    assert file.getvalue() == ""


@pytest.mark.parametrize("word", ["ö", "日本", "👩‍👧"])
def test_bytes_of_another_locale_are_read(word: str):
    halves = word.encode("utf-8").decode("ascii", "surrogateescape")
    for quoted in (f"no model '{halves}' here", f"no model {halves!r} here"):
        assert one_line(quoted) == f"no model '{word}' here"
    assert one_line(repr(b"\xff\xfe".decode("ascii", "surrogateescape"))) == "'\\xff\\xfe'"
