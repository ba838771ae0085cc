"""Bodies: what is decoded, what is refused, and in which words."""

import json
import logging
import resource
import time
import tracemalloc
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.responses import Response

from ossia.server.body import LARGE, MOST_KEYS, decode
from ossia.server.endpoint import Endpoint
from ossia.server.faults import RefusedError
from ossia.server.settings import Limits
from tests.server.door import Note, browser


class Inner(msgspec.Struct, forbid_unknown_fields=True):
    role: str
    weight: float = 0.0


class Outer(msgspec.Struct, forbid_unknown_fields=True, rename={"from_": "from"}):
    model: str
    messages: list[Inner] = []
    bias: dict[str, int] = {}
    from_: str = ""


def refusal(body: bytes, kind: Any = Note, **limits: int) -> RefusedError:
    with pytest.raises(RefusedError) as caught:
        decode(body, kind, Limits(**limits))
    return caught.value


def test_a_body_becomes_its_struct():
    assert decode(b'{"text": "\xc3\xa4 \\ud83d\\ude00", "number": 2}', Note, Limits()) == Note("ä 😀", 2)


@pytest.mark.parametrize(
    ("body", "param", "says"),
    [
        (b'{"model": 1}', "model", "model is 1; a string is right"),
        (b'{"messages": []}', "model", "the field 'model' is missing"),
        (
            b'{"model": "a", "messages": [{"role": "u"}, {"role": 3}]}',
            "messages[1].role",
            "messages[1].role is 3; a string is right",
        ),
        (b'{"model": "a", "messages": [{}]}', "messages[0].role", "the field 'messages[0].role' is missing"),
        (b'{"model": "a", "messages": [{"role": "u", "x": 1}]}', "messages[0].x", "unknown field 'messages[0].x'"),
        (b'{"model": "a", "modelx": "a"}', "modelx", "unknown field 'modelx'; did you mean 'model'?"),
        (b'{"model": "a", "fromx": "a"}', "fromx", "did you mean 'from'?"),
        (b'{"model": "a", "from_": "a"}', "from_", "did you mean 'from'?"),
        (b'{"model": "a", "zzz": "a"}', "zzz", "nothing here would honour it, and nothing is ignored"),
        (b'{"model": "a", "bias": {"x": "y"}}', "bias.x", 'bias.x is "y"; a whole number is right'),
        (b"[]", None, "the body is a list; an object is right"),
    ],
)
def test_the_field_at_fault_is_named(body: bytes, param: str | None, says: str):
    error = refusal(body, Outer)
    assert (error.status, error.param) == (400, param)
    assert says in str(error)


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b" ", b"\n", b"{", b"nope", b"{'a': 1}", b'{"text": "a"} {}', b'{"text": NaN}', b'{"text": "\\ud800"}'),
        *(b'{"text": "a\nb"}', b'{"text": "\xff"}', b'{"text": "\xed\xa0\x80"}', b'\xef\xbb\xbf{"text": "a"}', b"\x00"),
        b'{"text": "a',
        b'{"text": "a\\',
    ],
)
def test_what_is_not_json_is_refused(body: bytes):
    error = refusal(body)
    assert (error.status, error.code) == (400, "invalid_json")


@pytest.mark.parametrize("text", [r"\ud800", r"\uDE00", r"\\\ud800 x", r"\ud83d\ude00\udc00", r"\ud83d\ud83d\ude00"])
def test_half_a_character_is_called_that(text: str):
    assert "half of a character" in str(refusal(b'{"text": "%b"}' % text.encode()))
    assert "half of a character" not in str(refusal(b'{"text": "\\ud83d\\ude00'))


@pytest.mark.parametrize("number", ["1e999", "9" * 5000])
def test_a_number_that_no_machine_holds_is_refused_where_it_stands(number: str):
    error = refusal(b'{"text": "a", "number": %b}' % number.encode())
    assert (error.status, error.param, error.code) == (400, "number", "invalid_value")
    assert "out of range" in str(error)
    assert refusal(b'{"text": "a", "more": {"x": [%b]}}' % number.encode()).status == 400
    error = refusal(b'{"text": 5, "more": %b}' % number.encode())
    assert str(error) == "text is a whole number; a string is right"


def nested(depth: int) -> bytes:
    return b'{"text": "", "more": ' + b"[" * (depth - 1) + b"]" * (depth - 1) + b"}"


def test_depth_is_bounded():
    assert decode(nested(100), Note, Limits())
    assert "the body nests 101 deep; at most 100 is right" in str(refusal(nested(101)))
    assert refusal(nested(1_000_000)).status in (400, 413)


def test_brackets_in_strings_nest_nothing():
    text = "[{" * 10_000 + '\\"' * 10
    assert decode(json.dumps({"text": text}).encode(), Note, Limits(json_values=10)).text == text


def test_the_number_of_values_is_bounded():
    body = json.dumps({"text": "", "more": list(range(98))}).encode()
    # The text, the list, its members, and the object itself.
    assert decode(body, Note, Limits(json_values=101))
    error = refusal(body, json_values=100)
    assert (error.status, str(error)) == (413, "the body has 101 values; at most 100 are right")


def test_a_string_is_bounded():
    body = json.dumps({"text": "x" * 100}).encode()
    assert decode(body, Note, Limits(string_bytes=102))
    assert refusal(body, string_bytes=101).status == 413


@pytest.mark.parametrize("field", ["messages", "tools"])
def test_lists_are_bounded(field: str):
    body = json.dumps({"text": "", field: [{}] * 11}).encode()
    assert decode(body, Note, Limits(**{field: 11}))
    error = refusal(body, **{field: 10})
    assert (error.status, error.param) == (413, field)
    assert str(error) == f"{field} has 11 entries; at most 10 are right"


def test_a_tool_is_bounded():
    tools = [{}, {"parameters": {"enum": ["x" * 100]}}]
    body = json.dumps({"text": "", "tools": tools}).encode()
    error = refusal(body, schema_bytes=99)
    assert (error.status, error.param) == (413, "tools[1]")
    assert decode(body, Note, Limits(schema_bytes=200))


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-9, 9) | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_the_bound_on_depth_is_exact_for_any_json(value: Any):
    body = json.dumps({"text": "", "more": value}).encode()

    def depth(node: Any) -> int:
        inner = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
        return (1 + max(map(depth, inner), default=0)) if isinstance(node, dict | list) else 0

    deep = 1 + depth(value)
    assert decode(body, Note, Limits(json_depth=deep)).more == value
    if deep > 1:
        assert refusal(body, json_depth=deep - 1).code == "invalid_json"


@given(st.binary(max_size=200))
def test_any_bytes_are_decoded_or_refused(body: bytes):
    with suppress(RefusedError):
        assert isinstance(decode(body, Note, Limits()), Note)


@pytest.mark.parametrize(
    "body",
    [
        *(b'"' * (8 << 20), b'\\"' * (4 << 20), b'"' + b'\\"' * (4 << 20) + b"\\", b"[" * (8 << 20)),
        *(b"{" * (8 << 20), b"," * (8 << 20), b'"\\\\"' * (2 << 20), b'{"a":' * (1 << 20), b"[]" * (4 << 20)),
        *(b'\\""' * ((8 << 20) // 3), b'""' * 799_999, b'"\\\\\\\\"' * 799_999),
    ],
)
def test_eight_hostile_megabytes_are_refused_in_the_time_that_honest_ones_take(body: bytes):
    honest = json.dumps({"text": "", "more": ["word " * 20] * 80_000}).encode()

    def seconds(work: Callable[[], object]) -> float:
        begin = time.thread_time()
        work()
        return time.thread_time() - begin

    usual = min(seconds(lambda: decode(honest, Note, Limits())) for _ in range(3))
    assert min(seconds(lambda: refusal(body, string_bytes=16 << 20)) for _ in range(3)) < 10 * usual


async def echo(request: Any, body: Note) -> Response:
    return Response(body.text)


ECHO = [Endpoint("POST", "/echo", echo, "Say it again.", body=Note)]


@pytest.mark.parametrize(
    "kind",
    [
        "application/json",
        "application/json; charset=utf-8",
        "APPLICATION/JSON",
        "application/vnd.api+json",
        "",
        "application/x-www-form-urlencoded",
    ],
)
def test_what_calls_itself_json_is_read(kind: str):
    answer = browser(ECHO).post("/echo", content=b'{"text": "yes"}', headers={"Content-Type": kind})
    assert (answer.status_code, answer.text) == (200, "yes")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Content-Type", "text/plain"),
        ("Content-Type", "multipart/form-data; boundary=x"),
        ("Content-Type", "application/json; charset=latin-1"),
        ("Content-Encoding", "gzip"),
        ("Content-Encoding", "br"),
    ],
)
def test_what_calls_itself_something_else_is_not(name: str, value: str):
    answer = browser(ECHO).post("/echo", content=b'{"text": "yes"}', headers={name: value})
    assert answer.status_code == 415
    assert answer.json()["error"]["code"] == "unsupported_media_type"


@pytest.mark.parametrize("wanted", [False, True])
def test_the_journal_has_bodies_only_when_they_are_wanted(wanted: bool, caplog: pytest.LogCaptureFixture):
    with caplog.at_level(logging.DEBUG):
        browser(ECHO, log_prompts=wanted).post("/echo", content=b'{"text": "private"}')
    assert ("private" in str([vars(record) for record in caplog.records])) is wanted


def test_a_large_body_is_decoded_beside_everything_else():
    text = "x" * (LARGE + 1)
    assert browser(ECHO).post("/echo", json={"text": text}).text == text
    assert browser(ECHO).post("/echo", json={"txt": text}).json()["error"]["param"] == "txt"


@pytest.mark.parametrize(
    ("body", "key"),
    [
        (b'{"text": "a", "text": "a"}', "text"),
        (b'{"text": "a", "more": [{"x": 1, "y": {"z": 1, "z": 2}}]}', "z"),
        (b'{"text": "a", "\\u0074ext": "b"}', "text"),
        (b'{"text": "a", "more": {"": 1, "": 1}}', ""),
    ],
)
def test_a_key_that_stands_twice_is_refused(body: bytes, key: str):
    error = refusal(body)
    assert (error.status, error.code) == (400, "invalid_json")
    assert str(error) == f"the key {key!r} stands twice in one object; once is right"


def test_the_same_key_in_two_objects_is_fine():
    assert decode(b'{"text": "text", "more": [{"text": {"text": 1}}, {"text": 2}]}', Note, Limits()).text == "text"


def test_looking_for_keys_takes_little_and_ends_where_it_would_not():
    body = json.dumps({"text": "a", "more": {f"k{n}": n for n in range(MOST_KEYS - 10)}}).encode()
    begin = time.thread_time()
    decode(body, Note, Limits())
    assert time.thread_time() - begin < 1.0
    many = json.dumps({"text": "a", "more": {f"k{n}": n for n in range(MOST_KEYS + 10)}})[:-2] + ', "k5": 5}}'
    assert decode(many.encode(), Note, Limits()).more["k5"] == 5, "as decoders do; the page on the server says so"


def test_a_string_of_escapes_takes_no_memory_to_speak_of():
    body = b'{"text": "' + b'\\"' * (1 << 20) + b'"}'
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    tracemalloc.start()
    try:
        decode(body, Note, Limits())
        assert tracemalloc.get_traced_memory()[1] < 4 * len(body)
    finally:
        tracemalloc.stop()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 40_000, "kilobytes"
