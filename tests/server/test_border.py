"""What crosses the border is on the other side what it was on this one, in whatever pieces it arrives."""

import math
import random
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ossia import errors
from ossia.engine import Logprob, Output, SamplingParams
from ossia.errors import ContextLengthError, OssiaError, OverloadedError
from ossia.server.border import (
    LARGEST,
    Add,
    Cancel,
    Command,
    EngineStatus,
    Forget,
    Frames,
    Message,
    Reported,
    Stepped,
    error_of,
    frame,
    output_of,
    plain,
    raised,
)

PARAMS = {"temperature": 0.5, "logit_bias": {3: -math.inf, 200_000: 1.5}, "seed": 2**64 - 1, "stop_tokens": [1, 2]}
ADD = Add(7, tuple(range(1000)), PARAMS, '{"rules": 1}', b"\x00salt\xff", -3, None)
STATUS = EngineStatus(1, 2, 3, 4, {"full": 9}, {"full": 5}, {"full": 1}, 6, 7.0, 0.5, 8, 9, 10)

tokens = st.integers(0, 2**31 - 1)
logprobs = st.builds(
    Logprob, st.floats(allow_nan=False), st.lists(st.tuples(tokens, st.floats(allow_nan=False))).map(tuple)
)
outputs = st.builds(
    Output,
    request_id=st.integers(0, 2**53),
    tokens=st.lists(tokens, max_size=5).map(tuple),
    logprobs=st.none() | st.lists(logprobs, max_size=3).map(tuple),
    finish=st.sampled_from([None, "stop", "length", "cancelled", "no_token"]),
    prompt_tokens=tokens,
    cached_tokens=tokens,
    generated_tokens=tokens,
    seed=st.integers(0, 2**64 - 1),
    failure=st.none() | st.text(),
)


@given(st.lists(outputs, max_size=4), st.randoms())
def test_outputs_come_as_they_were_in_any_pieces(sent: Sequence[Output], chance: random.Random):
    data = frame(Stepped([plain(output, output.request_id) for output in sent])) + frame(Reported(None, STATUS))
    frames, found = Frames(Message), list[Any]()
    while data:
        size = chance.randint(1, len(data))
        found += frames.feed(data[:size])
        data = data[size:]
    stepped, reported = found
    received = [output_of(entry) for entry in stepped.outputs]
    assert received == list(sent)
    assert all(isinstance(each, Logprob) for output in received for each in output.logprobs or ())
    assert reported == Reported(None, STATUS)


def test_commands_come_as_they_were():
    sent = [ADD, Cancel(7), Forget(None), Forget(b"x")]
    assert Frames(Command).feed(b"".join(map(frame, sent))) == sent
    assert SamplingParams.from_dict(ADD.params).seed == 2**64 - 1


def test_pages_in_use_are_those_that_cannot_be_taken():
    assert STATUS.used_pages == {"full": 4}


@pytest.mark.parametrize(
    "data",
    [
        (LARGEST + 1).to_bytes(4, "little"),
        b"\x01\x00\x00\x00\xc1",
        frame(Cancel(7)).replace(b"Cancel", b"Remove"),
        frame(Stepped([])),
    ],
)
def test_what_is_no_command_is_refused(data: bytes):
    with pytest.raises(ValueError, match=r"message|MessagePack|Invalid value|truncated|Expected"):
        Frames(Command).feed(data)


@pytest.mark.parametrize("error", [ContextLengthError("too long"), OverloadedError("later", 7.5), OssiaError("what?")])
def test_errors_come_as_they_were(error: OssiaError):
    found = error_of(*raised(error))
    assert (type(found), str(found), vars(found)) == (type(error), str(error), vars(error))


def test_every_error_of_ossia_can_cross():
    for name in errors.__all__:
        assert type(error_of(name, "message", {})).__name__ == name


@pytest.mark.parametrize("kind", ["SystemExit", "__builtins__", "Any", ""])
def test_what_is_no_error_of_ossia_comes_as_its_root(kind: str):
    assert type(error_of(kind, "message", {})) is OssiaError


def test_what_is_not_plain_stays_behind():
    error = OssiaError("message")
    error.process = object()  # type: ignore[attr-defined]
    assert raised(error) == ("OssiaError", "message", {})
