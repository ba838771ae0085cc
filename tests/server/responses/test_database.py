"""Stored responses: what survives what."""

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ossia.errors import CapacityError, ConfigError
from ossia.server.responses.database import Database, Row

DAY = 24 * 3600.0


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def opened(path: str | Path = ":memory:", **options: Any) -> Database:
    return Database(str(path), **{"seconds": DAY, "most_bytes": 1 << 30, **options})


def row(name: str = "resp_a", owner: str = "me", **fields: Any) -> Row:
    body = {"id": name, "status": "completed", "output": [{"id": f"msg_{name}", "type": "message"}]}
    given = [{"id": f"in_{name}", "type": "message", "role": "user", "content": "Hé \ud800!"}]
    return Row(id=name, owner=owner, **{"body": body, "input": given, **fields})


def test_what_was_put_is_there_and_its_owners_alone():
    database = opened()
    database.put(row(events=b"frames"))
    assert database.get("me", "resp_a") == row(events=b"frames")
    assert database.get("you", "resp_a") is None
    assert database.chain("you", "resp_a") == []
    assert database.item("you", "msg_resp_a") is None
    assert not database.delete("you", "resp_a")
    assert len(database) == 1


def test_items_are_found_by_their_ids_until_their_response_goes():
    database = opened()
    database.put(row())
    assert database.item("me", "msg_resp_a") == {"id": "msg_resp_a", "type": "message"}
    assert database.item("me", "in_resp_a") == row().input[0]
    assert database.delete("me", "resp_a")
    assert database.item("me", "msg_resp_a") is None
    assert database.bytes == 0


def test_a_chain_goes_from_the_beginning_and_says_what_is_gone():
    database = opened()
    database.put(row("resp_1"))
    database.put(row("resp_2", previous="resp_1"))
    database.put(row("resp_3", previous="resp_2"))
    assert [each.id for each in database.chain("me", "resp_3")] == ["resp_1", "resp_2", "resp_3"]
    database.delete("me", "resp_1")
    first, *_ = database.chain("me", "resp_3")
    assert (first.id, first.previous) == ("resp_2", "resp_1")


def test_another_owners_response_ends_a_chain():
    database = opened()
    database.put(row("resp_1", owner="you"))
    database.put(row("resp_2", previous="resp_1"))
    assert [each.id for each in database.chain("me", "resp_2")] == ["resp_2"]


def test_rows_expire_when_they_have_not_been_used():
    clock = Clock()
    database = opened(clock=clock)
    database.put(row("resp_1"))
    database.put(row("resp_2", previous="resp_1"))
    clock.now += 0.6 * DAY
    database.chain("me", "resp_2")
    database.put(row("resp_3"))
    clock.now += 0.6 * DAY
    assert database.get("me", "resp_1") is not None, "it was used with the one that follows it"
    clock.now += 0.6 * DAY
    assert database.get("me", "resp_1") is None
    database.put(row("resp_4"))
    assert len(database) == 1, "expired ones are forgotten when another comes"


def test_the_least_recently_used_make_room_and_later_turns_go_first():
    clock = Clock()
    one = len(_encoded_size())
    database = opened(clock=clock, most_bytes=3 * one)
    for number in (1, 2, 3):
        clock.now += 1
        database.put(row(f"resp_{number}", previous=f"resp_{number - 1}" if number > 1 else None))
    database.chain("me", "resp_3")
    database.put(row("resp_4"))
    assert [name for name in ("resp_1", "resp_2", "resp_3", "resp_4") if database.get("me", name)] == [
        "resp_1",
        "resp_2",
        "resp_4",
    ]
    assert database.bytes <= 3 * one


def _encoded_size() -> bytes:
    database = opened()
    database.put(row("resp_1"))
    return bytes(database.bytes)


def test_what_runs_never_makes_room():
    database = opened(most_bytes=1)
    database.put(row("resp_1", running=True))
    database.put(row("resp_2", running=True))
    assert database.get("me", "resp_1") is not None


def test_writing_a_row_again_replaces_it():
    database = opened()
    database.put(row(running=True))
    size = database.bytes
    database.put(row(events=b"12345"))
    assert database.bytes == size + 5
    assert database.get("me", "resp_a") == row(events=b"12345")


def test_rows_are_there_after_closing(tmp_path: Path):
    database = opened(tmp_path / "state" / "responses.sqlite")
    database.put(row())
    size = database.bytes
    database.close()
    again = opened(tmp_path / "state" / "responses.sqlite")
    assert again.get("me", "resp_a") == row()
    assert again.bytes == size
    again.close()


def test_nobody_else_reads_the_file(tmp_path: Path):
    path = tmp_path / "state" / "responses.sqlite"
    opened(path).close()
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


_KILLED = """
import os, signal, sys
from tests.server.responses.test_database import opened, row
database = opened(sys.argv[1])
for number in range(1000):
    database.put(row(f"resp_{number}", running=number % 2 == 0))
    print(number, flush=True)
"""


def test_a_kill_loses_no_row_that_was_written(tmp_path: Path):
    path = tmp_path / "responses.sqlite"
    process = subprocess.Popen(
        [sys.executable, "-c", _KILLED, str(path)], stdout=subprocess.PIPE, text=True, env={**os.environ}
    )
    assert process.stdout is not None
    seen = [int(process.stdout.readline()) for _ in range(60)]
    process.send_signal(signal.SIGKILL)
    rest = process.stdout.read().split()
    process.wait()
    process.stdout.close()
    told = [*seen, *map(int, rest)]
    database = opened(path)
    for number in told:
        found = database.get("me", f"resp_{number}")
        assert found is not None, f"{number} of {len(told)}"
        assert not found.running
        assert found.body["status"] == ("failed" if number % 2 == 0 else "completed")
    database.close()


def test_a_second_server_is_told_that_the_file_is_taken(tmp_path: Path):
    path = tmp_path / "responses.sqlite"
    database = opened(path)
    with pytest.raises(ConfigError, match="another server stores"):
        opened(path)
    database.close()
    opened(path).close()


def _garbage(path: Path) -> None:
    path.write_bytes(b"This is a diary. " * 100)


def _newer(path: Path) -> None:
    rows = sqlite3.connect(path)
    rows.execute("PRAGMA user_version = 99")
    rows.close()


def _folder(path: Path) -> None:
    path.mkdir()


@pytest.mark.parametrize(("spoil", "words"), [(_garbage, "no file of"), (_newer, "format is 99"), (_folder, "cannot")])
def test_files_that_cannot_be_used_are_named(tmp_path: Path, spoil: Callable[[Path], None], words: str):
    path = tmp_path / "responses.sqlite"
    spoil(path)
    with pytest.raises(ConfigError, match=words) as caught:
        opened(path)
    assert str(path) in str(caught.value)


def test_a_full_disk_is_said_and_changes_nothing():
    database = opened()
    database.put(row("resp_1"))
    size = database.bytes
    pages = database._rows.execute("PRAGMA page_count").fetchone()[0]
    database._rows.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(CapacityError, match="full"):
        database.put(row("resp_2", events=bytes(100_000)))
    assert (database.bytes, len(database)) == (size, 1)
    database._rows.execute("PRAGMA max_page_count = 1000000")
    database.put(row("resp_2"))
    assert len(database) == 2
