"""Kills, while twenty clients read streams from a real server: every stream ends, and says how."""

import http.client
import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.cli.test_serve import ended, fetched, running
from tests.server.endless import no_control_tokens

STREAMS = 20
PLACES = 16
"""Requests that run at once unless the operator says otherwise; the others wait."""

DEADLINE = 60.0

# No control token of nano's, so that an answer ends with max_tokens and not before.
ENDLESS = {
    "model": "nano",
    "prompt": "What is",
    "stream": True,
    "max_tokens": 20_000,
    "temperature": 1.0,
    "logit_bias": no_control_tokens(),
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


LONG = {"type": "regex", "pattern": "(a|b){50000}"}
VARIED = {"temperature": 2.0, "frequency_penalty": 2.0}
"""So that an answer does not go in circles, which would end it."""
ASKED = [{"role": "user", "content": "x"}]
EVERYWHERE: dict[str, tuple[str, dict[str, Any]]] = {
    "chat": ("/v1/chat/completions", {"messages": ASKED}),
    "responses": ("/v1/responses", {"input": "x"}),
    "messages": ("/v1/messages", {"messages": ASKED, "max_tokens": 50_000}),
    "ollama": ("/api/chat", {"messages": ASKED}),
    "completions": ("/v1/completions", ENDLESS | {"stream": False}),
}


class Asking(threading.Thread):
    """One client of any API, that reads to the end."""

    def __init__(self, address: str, path: str, body: dict[str, Any]) -> None:
        super().__init__(daemon=True)
        self.address, self.path = address.removeprefix("http://"), path
        self.body = ({} if path == "/v1/completions" else {"grammar": LONG}) | {"model": "nano"} | body
        self.status, self.text = 0, ""
        self.start()

    def run(self) -> None:
        connection = http.client.HTTPConnection(self.address, timeout=DEADLINE)
        connection.request("POST", self.path, json.dumps(self.body), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        self.status, self.text = answer.status, answer.read().decode()
        connection.close()


def read(address: str, count: int, **changes: Any) -> list[Reading]:
    """So many clients, each of which has read something; those beyond the engine's places may still wait."""
    readings = [Reading(address, number, **changes) for number in range(count)]
    assert comes(lambda: sum(reading.begun.is_set() for reading in readings) >= min(count, PLACES))
    return readings


def joined(readings: Sequence[Reading | Asking]) -> None:
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


def test_a_second_signal_is_told_to_every_request_in_its_apis_shape():
    with server() as (process, address, worker):
        asking = {
            (name, stream): Asking(address, path, body | {"stream": stream})
            for name, (path, body) in EVERYWHERE.items()
            for stream in (False, True)
        }
        time.sleep(2)
        process.send_signal(signal.SIGINT)
        time.sleep(0.5)
        begin = time.monotonic()
        process.send_signal(signal.SIGINT)
        joined([*asking.values()])
        status, _, err = ended(process)
        assert time.monotonic() - begin < 5
    assert (status, "Traceback" in err) == (0, False)
    for (name, stream), each in asking.items():
        assert each.status == (200 if stream else 503), (name, stream, each.text)
        assert "told to end at once" in each.text, (name, stream, each.text[-200:])
        if not stream:
            assert json.loads(each.text)["error"]
    assert asking["chat", True].text.endswith("data: [DONE]\n\n")
    assert "event: response.failed\n" in asking["responses", True].text
    assert "event: error\n" in asking["messages", True].text
    assert "error" in json.loads(asking["ollama", True].text.splitlines()[-1])
    assert comes(lambda: not alive(worker))


def test_a_response_in_the_background_says_that_the_server_ended(tmp_path: Path):
    environment = {"OSSIA_SERVER_GRACE_SECONDS": "1", "OSSIA_SERVER_STORE": str(tmp_path / "stored.sqlite")}
    asked = {"model": "nano", "input": "x", "background": True, "grammar": LONG, **VARIED}
    with server(**environment) as (process, address, _):
        begun = Asking(address, "/v1/responses", asked)
        joined([begun])
        process.send_signal(signal.SIGTERM)
        assert ended(process)[0] == 0
    with server(**environment) as (_, address, _):
        made = fetched(f"{address}/v1/responses/{json.loads(begun.text)['id']}")
    assert (made["status"], made["incomplete_details"]) == ("incomplete", {"reason": "shutdown"})
    assert made["ossia"]["finish"] == "shutdown"


def test_a_turn_that_takes_too_long_says_so_in_a_response_too():
    with server(OSSIA_SERVER_LIMITS_TURN_SECONDS="1") as (_, address, _):
        asking = Asking(address, "/v1/responses", {"input": "x", "grammar": LONG, **VARIED})
        joined([asking])
    made = json.loads(asking.text)
    assert (made["status"], made["incomplete_details"]) == ("incomplete", {"reason": "time_limit"})
