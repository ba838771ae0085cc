"""What a client of the benchmark reads: h11 writes the answers, and uvicorn."""

import asyncio
import random
import threading
from collections.abc import Iterator

import h11
import pytest
import uvicorn

from bench.serving.clients import Call, at_once, events_of, whole


def chunked(parts: list[bytes], status: int = 200) -> bytes:
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
    connection.next_event()
    connection.next_event()
    sent = connection.send(h11.Response(status_code=status, headers=[])) or b""
    return sent + b"".join(connection.send(h11.Data(data=part)) or b"" for part in parts)


EVENTS = [b'data: {"n": 1}\n\n', b'data: {"n": 2, "text": "a\\n\\nb"}\n\ndata: {"n": 3}\n\n', b"data: [DONE]\n\n"]


@pytest.mark.parametrize("seed", range(50))
def test_events_are_read_whole_and_timed_by_their_last_byte_however_the_bytes_came(seed: int):
    answer, dice = chunked(EVENTS), random.Random(seed)
    cuts = sorted(dice.sample(range(1, len(answer)), dice.randrange(40)))
    pieces = [answer[start:end] for start, end in zip([0, *cuts], [*cuts, len(answer)], strict=True)]
    found = list(events_of([(float(number), piece) for number, piece in enumerate(pieces)]))
    assert [event["n"] for _, event in found] == [1, 2, 3]
    # A chunk is complete with its last byte; both events of the second come with it.
    ends = [answer.index(b'"n": 1}\n\n') + 9, answer.index(b'"n": 3}\n\n') + 9]
    arrivals = [sum(end > cut for cut in cuts) for end in ends]
    assert [when for when, _ in found] == [arrivals[0], arrivals[1], arrivals[1]]


def test_a_refusal_is_no_stream():
    with pytest.raises(RuntimeError, match=r"the server answers b'HTTP/1\.1 429"):
        list(events_of([(0.0, chunked([b"no"], 429))]))


async def echo(scope, receive, send):
    """An application that streams the length of what it got, twice."""
    assert scope["type"] == "http"
    body = (await receive())["body"]
    await send({"type": "http.response.start", "status": 200, "headers": []})
    if scope["path"] == "/whole":
        await send({"type": "http.response.body", "body": body})
        return
    for _ in range(2):
        await send({"type": "http.response.body", "body": b'data: {"length": %d}\n\n' % len(body), "more_body": True})
    await send({"type": "http.response.body", "body": b"data: [DONE]\n\n"})


@pytest.fixture
def address() -> Iterator[tuple[str, int]]:
    server = uvicorn.Server(uvicorn.Config(echo, port=0, lifespan="off", log_config=None))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        pass
    yield "127.0.0.1", server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    thread.join()


def test_many_clients_stream_at_once(address: tuple[str, int]):
    calls = [Call("/", {"text": "x" * length}) for length in range(20)]
    answers = asyncio.run(at_once(address, calls, 20.0))
    assert [[event["length"] for _, event in answer.events] for answer in answers] == [
        [len('{"text": ""}') + length] * 2 for length in range(20)
    ]
    for answer in answers:
        times = [when for when, _ in answer.events]
        assert 0 < times[0] <= times[1] <= answer.seconds


def test_an_answer_can_come_whole(address: tuple[str, int]):
    assert asyncio.run(whole(address, Call("/whole", {"a": [1, 2]}), 20.0)) == {"a": [1, 2]}
