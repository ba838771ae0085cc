"""Kills, while twenty clients read streams from a real server: every stream ends, and says how."""

import http.client
import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.cli.test_serve import ended, running

STREAMS = 20
PLACES = 16
"""Requests that run at once unless the operator says otherwise; the others wait."""

DEADLINE = 60.0

# No control token of nano's (they begin at 4096), so that an answer ends with max_tokens and not before.
ENDLESS = {
    "model": "nano",
    "prompt": "What is",
    "stream": True,
    "max_tokens": 20_000,
    "temperature": 1.0,
    "logit_bias": {str(token): -100 for token in range(4096, 4105)},
}


class Reading(threading.Thread):
    """One client that reads a stream to its end, whatever that is."""

    def __init__(self, address: str, number: int, **changes: Any) -> None:
        super().__init__(daemon=True)
        self.address = address.removeprefix("http://")
        self.body = ENDLESS | {"seed": number} | changes
        self.begun = threading.Event()
        self.status = 0
        self.data: list[str] = []
        self.error: Exception | None = None
        self.start()

    def run(self) -> None:
        connection = http.client.HTTPConnection(self.address, timeout=DEADLINE)
        try:
            connection.request("POST", "/v1/completions", json.dumps(self.body), {"Content-Type": "application/json"})
            answer = connection.getresponse()
            self.status = answer.status
            while line := answer.readline():
                if line.startswith(b"data: "):
                    self.data.append(line.removeprefix(b"data: ").decode().strip())
                    self.begun.set()
                elif self.status != 200:
                    self.data.append(line.decode())
        except (OSError, http.client.HTTPException) as error:
            self.error = error
        finally:
            self.begun.set()
            connection.close()

    @property
    def finish(self) -> str | None:
        """Why the answer ended, as its last part but the mark of the end says."""
        parts = [json.loads(data) for data in self.data if data != "[DONE]"]
        return next((part["choices"][0]["finish_reason"] for part in reversed(parts) if part.get("choices")), None)

    @property
    def failure(self) -> dict[str, Any] | None:
        """The error that the stream ended with."""
        errors = [json.loads(data).get("error") for data in self.data if data != "[DONE]"]
        return next(filter(None, errors), None)


def read(address: str, count: int, **changes: Any) -> list[Reading]:
    """So many clients, each of which has read something; those beyond the engine's places may still wait."""
    readings = [Reading(address, number, **changes) for number in range(count)]
    assert comes(lambda: sum(reading.begun.is_set() for reading in readings) >= min(count, PLACES))
    return readings


def joined(readings: list[Reading]) -> None:
    end = time.monotonic() + DEADLINE
    for reading in readings:
        reading.join(max(0.0, end - time.monotonic()))
        assert not reading.is_alive(), "a stream does not end"


def children(pid: int) -> list[int]:
    """The processes that this one has started and that still are."""
    words = Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split()
    return [int(word) for word in words]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def comes(condition: Callable[[], bool]) -> bool:
    end = time.monotonic() + DEADLINE
    while not condition() and time.monotonic() < end:
        time.sleep(0.02)
    return condition()


@contextmanager
def server(**environment: str) -> Iterator[tuple[Any, str, int]]:
    """A server, its address, and its engine's process."""
    with running("nano", "--threads", "1", "--quiet", **environment) as (process, (address, *_), _):
        (worker,) = children(process.pid)
        yield process, address, worker


def test_an_engine_that_is_killed_ends_every_stream_with_an_error_and_the_next_request_works():
    with server() as (process, address, worker):
        readings = read(address, STREAMS)
        os.kill(worker, signal.SIGKILL)
        joined(readings)
        for reading in readings:
            assert reading.failure is not None, reading.data[-2:]
            assert "the engine's process has ended with signal SIGKILL" in reading.failure["message"]
        (after,) = read(address, 1, max_tokens=5)
        joined([after])
        assert (after.status, after.finish, after.data[-1]) == (200, "length", "[DONE]")
        process.send_signal(signal.SIGTERM)
        assert ended(process)[0] == 0


def test_a_signal_lets_short_answers_finish_and_tells_long_ones_that_they_were_cut():
    with server(OSSIA_SERVER_GRACE_SECONDS="2") as (process, address, worker):
        long, short = read(address, 3), read(address, 3, max_tokens=30)
        process.send_signal(signal.SIGTERM)
        joined([*long, *short])
        status, _, err = ended(process)
    assert (status, "Traceback" in err) == (0, False)
    for reading in short:
        assert (reading.finish, reading.data[-1]) == ("length", "[DONE]")
    for reading in long:
        assert reading.data[-1] == "[DONE]", reading.error
        assert reading.finish not in (None, "stop") or reading.failure is not None
    assert comes(lambda: not alive(worker))


@pytest.mark.parametrize("stopped", [False, True])
def test_a_server_that_is_killed_leaves_no_engine(stopped: bool):
    with server() as (process, address, worker):
        readings = read(address, 5)
        if stopped:  # a process that is stuck in a step does not see the socket closed
            os.kill(worker, signal.SIGSTOP)
        process.kill()
        joined(readings)
        if stopped:
            os.kill(worker, signal.SIGCONT)
        assert comes(lambda: not alive(worker))
