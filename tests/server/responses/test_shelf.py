"""What a server keeps of its responses, from its beginning to its end and beyond."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette

from ossia.errors import ConfigError
from ossia.server.clients import ANYONE, Client
from ossia.server.responses.shelf import default_path, open_shelf, owner_of
from ossia.server.settings import ServerConfig
from tests.cli.tiny import VOCABULARY
from tests.server.playing import Player
from tests.server.responses.responding import HELLO, URL, answer, eventually, judged, judged_events, serving, stream
from tests.server.serving import events_of


def test_responses_survive_a_restart(tmp_path: Path):
    store = str(tmp_path / "responses.sqlite")
    with serving(Player(VOCABULARY, answer("One.")), store=store) as client:
        first = client.post(URL, json=HELLO).json()
    player = Player(VOCABULARY, answer("Two."))
    with serving(player, store=store) as client:
        assert client.get(f"{URL}/{first['id']}").json() == first
        client.post(URL, json={**HELLO, "previous_response_id": first["id"]}).raise_for_status()
    assert "<|channel|>final<|message|>One.<|end|>" in player.prompts[0]


def test_streams_in_the_background_can_be_taken_up_after_a_restart(tmp_path: Path):
    store = str(tmp_path / "responses.sqlite")
    with serving(Player(VOCABULARY, answer()), store=store) as client:
        told = stream(client, {**HELLO, "background": True})
        path = f"{URL}/{told[0]['response']['id']}"
        eventually(lambda: client.get(path).json()["status"] == "completed")
    with serving(Player(VOCABULARY), store=store) as client:
        again = client.get(path, params={"stream": "true", "starting_after": "5"})
        assert [json.loads(each) for each in events_of(again)] == told[6:]


def test_what_runs_when_the_server_closes_is_stored_as_far_as_it_went(tmp_path: Path):
    store = str(tmp_path / "responses.sqlite")
    player = Player(VOCABULARY, "<|channel|>analysis<|message|>" + "word " * 500, endless=True)
    with serving(player, store=store) as client:
        begun = client.post(URL, json={**HELLO, "background": True}).json()
        eventually(lambda: client.get(f"{URL}/{begun['id']}").json()["output"])
    with serving(player, store=store) as client:
        ended = judged(client.get(f"{URL}/{begun['id']}").json())
        assert ended["status"] in ("cancelled", "incomplete")
        assert ended["output"][0]["content"][0]["text"].startswith("word word")
        told = client.get(f"{URL}/{begun['id']}", params={"stream": "true"})
        assert judged_events(events_of(told))[-1]["response"] == ended


_KILLED = """
import sys
from tests.cli.tiny import VOCABULARY
from tests.server.playing import Player
from tests.server.responses.responding import HELLO, URL, serving
import asyncio
player = Player(VOCABULARY, "<|channel|>analysis<|message|>" + "word " * 500, endless=True)
player.before_step = lambda: asyncio.sleep(0.05)
with serving(player, store=sys.argv[1]) as client:
    print(client.post(URL, json={**HELLO, "background": True}).json()["id"], flush=True)
    with client.stream("POST", URL, json={**HELLO, "stream": True}) as response:
        for line in response.iter_lines():
            print(line, flush=True)
"""


def test_no_response_is_lost_after_its_id_was_sent_when_the_server_is_killed(tmp_path: Path):
    store = str(tmp_path / "responses.sqlite")
    process = subprocess.Popen(
        [sys.executable, "-c", _KILLED, store], stdout=subprocess.PIPE, text=True, env={**os.environ}
    )
    assert process.stdout is not None
    background = process.stdout.readline().strip()
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    with serving(Player(VOCABULARY), store=store) as client:
        body = judged(client.get(f"{URL}/{background}").json())
        assert (body["status"], body["error"]["code"]) == ("failed", "server_error")
        told = client.get(f"{URL}/{background}", params={"stream": "true", "starting_after": "4"})
        (last,) = (json.loads(each) for each in events_of(told))
        assert (last["type"], last["sequence_number"], last["response"]) == ("response.failed", 5, body)


def test_a_file_that_another_server_has_is_named(tmp_path: Path):
    path = str(tmp_path / "responses.sqlite")
    with serving(Player(VOCABULARY), store=path) as client:
        assert client.get(f"{URL}/resp_1").status_code == 404
        with pytest.raises(ConfigError, match=f"{path}: another server"):
            open_shelf(Starlette(), ServerConfig(store=path))


@pytest.mark.parametrize(
    ("environment", "path"),
    [
        ({"XDG_STATE_HOME": "/state"}, "/state/ossia/responses.sqlite"),
        ({"XDG_STATE_HOME": "relative"}, "/home/me/.local/state/ossia/responses.sqlite"),
        ({}, "/home/me/.local/state/ossia/responses.sqlite"),
    ],
)
def test_where_they_are_stored(environment: dict[str, str], path: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Path, "home", lambda: Path("/home/me"))
    assert default_path(environment) == Path(path)


def test_who_has_no_home_keeps_them_in_memory(monkeypatch: pytest.MonkeyPatch):
    def homeless() -> Any:
        raise RuntimeError("no home")

    monkeypatch.setattr(Path, "home", homeless)
    assert str(default_path({})) == ":memory:"


def test_what_is_kept_belongs_to_the_key_and_not_to_its_name():
    assert owner_of(Client("me", b"old")) != owner_of(Client("me", b"new"))
    assert owner_of(ANYONE)
