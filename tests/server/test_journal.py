"""The journal: one line for each event, and nobody's words in it."""

import io
import json
import logging
import sys
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ossia.server.journal import LOGGERS, REQUEST, Formatter, begin, new_request

SECRET = "the user's own words"


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    kept = {name: (list(logger.handlers), logger.propagate, logger.level) for name, logger in loggers().items()}
    yield io.StringIO()
    for name, (handlers, propagate, level) in kept.items():
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = handlers, propagate
        logger.setLevel(level)
    REQUEST.set(None)


def loggers() -> dict[str, logging.Logger]:
    return {name: logging.getLogger(name) for name in (*LOGGERS, "uvicorn.access")}


def failed(stream: io.StringIO, form: str, prompts: bool) -> str:
    begin(form, prompts, stream)
    try:
        raise KeyError(SECRET)
    except KeyError as error:
        logging.getLogger("ossia.server").error("internal error", exc_info=error, extra={"error_id": "err_1"})
    return stream.getvalue()


def test_an_event_is_one_line_of_json(stream: io.StringIO):
    begin("json", False, stream)
    name = new_request()
    logging.getLogger("ossia.server").info("request", extra={"status": 200, "seconds": 0.25, "path": 'a"b\n'})
    (line,) = stream.getvalue().splitlines()
    found = json.loads(line)
    assert found.pop("time").endswith("Z")
    wanted = {"level": "info", "message": "request", "status": 200, "seconds": 0.25, "path": 'a"b\n', "request": name}
    assert found == wanted


def test_an_event_is_one_line_of_text(stream: io.StringIO):
    begin("text", False, stream)
    logging.getLogger("ossia.server").info("request", extra={"status": 200, "seconds": 0.25, "path": "a b"})
    assert stream.getvalue().split("Z ", 1)[1] == 'info request status=200 seconds=0.250 path="a b"\n'


@given(st.text())
def test_no_text_breaks_out_of_its_line(text: str):
    record = logging.LogRecord("ossia", logging.INFO, "", 0, text.replace("%", "%%"), (), None)
    record.path = text
    for form in ("text", "json"):
        line = Formatter(form).format(record)
        assert len(line.splitlines()) == 1
        assert line.isprintable()
        assert line.isascii()


@pytest.mark.parametrize("form", ["text", "json"])
def test_an_errors_message_is_written_only_when_prompts_are(stream: io.StringIO, form: str):
    text = failed(stream, form, prompts=False)
    assert SECRET not in text
    assert "KeyError" in text
    assert "test_journal.py" in text
    assert SECRET in failed(stream, form, prompts=True)


def test_the_request_is_named_in_everything_that_is_written_meanwhile(stream: io.StringIO):
    begin("json", False, stream)
    names = [new_request(), new_request()]
    logging.getLogger("ossia.engine").warning("x")
    assert names[0] != names[1]
    assert json.loads(stream.getvalue())["request"] == names[1]


def test_uvicorns_own_lines_are_those_of_errors_only(stream: io.StringIO):
    begin("text", False, stream)
    logging.getLogger("uvicorn.error").info("Started")
    logging.getLogger("uvicorn.access").info("GET /?key=secret")
    assert stream.getvalue() == ""
    logging.getLogger("uvicorn.error").error("Failed")
    assert "error Failed" in stream.getvalue()


def test_it_goes_to_stderr_unless_told_otherwise(capsys: pytest.CaptureFixture[str], stream: io.StringIO):
    begin("text", False)
    logging.getLogger("ossia").warning("here")
    captured = capsys.readouterr()
    assert "warning here" in captured.err
    assert captured.out == ""
    assert sys.stderr is not None
