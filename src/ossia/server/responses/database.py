"""Stored responses in SQLite: one file, one process, one thread.

A row is written before a client hears of the response's id, and again when the response is over, so that neither a
crash nor a kill loses one: what was running then is `failed` when the file is opened again. Rows expire when they have
not been used for a time, and the least recently used go when all of them take more than a number of bytes. The rows of
a conversation are used together, and its later ones go first, so that what is left of it is whole.

Source: SQLite documentation, "Write-Ahead Logging" and PRAGMA locking_mode.
"""

import json
import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ossia.errors import CapacityError, ConfigError

__all__ = ["Database", "Row"]

MEMORY = ":memory:"

FORMAT = 1
"""The file's `user_version`; it changes with the tables."""

PAGES = 256
"""Pages given back to the file system at a time, 1 MiB, after rows have gone."""

_TABLES = f"""
PRAGMA auto_vacuum = INCREMENTAL;
BEGIN;
CREATE TABLE IF NOT EXISTS responses (
    id TEXT PRIMARY KEY, owner TEXT NOT NULL, previous TEXT, running INTEGER NOT NULL,
    created REAL NOT NULL, used REAL NOT NULL, size INTEGER NOT NULL,
    body BLOB NOT NULL, input BLOB NOT NULL, events BLOB
) STRICT;
CREATE INDEX IF NOT EXISTS by_use ON responses (used, created DESC);
CREATE TABLE IF NOT EXISTS items (
    id TEXT NOT NULL, owner TEXT NOT NULL,
    response TEXT NOT NULL REFERENCES responses (id) ON DELETE CASCADE,
    PRIMARY KEY (id, response)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS by_response ON items (response);
PRAGMA user_version = {FORMAT};
COMMIT;
"""

_CHAIN = """
WITH RECURSIVE chain (id, previous, depth) AS (
    SELECT id, previous, 0 FROM responses WHERE id = :id AND owner = :owner
    UNION ALL
    SELECT earlier.id, earlier.previous, depth + 1
    FROM chain JOIN responses AS earlier ON earlier.id = chain.previous AND earlier.owner = :owner
)
SELECT id FROM chain ORDER BY depth DESC
"""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One stored response: the whole of it, the items of its own input, and the events of its stream, if it has one."""

    id: str
    owner: str
    body: dict[str, Any]
    input: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    previous: str | None = None
    running: bool = False
    events: bytes | None = None


class Database:
    """The rows. For one thread at a time; whoever has the file open keeps others out.

    Raises ConfigError where the file cannot be used, CapacityError where the disk is full.
    """

    def __init__(
        self, path: str = MEMORY, *, seconds: float, most_bytes: int, clock: Callable[[], float] = time.time
    ) -> None:
        self.path = path
        self._seconds, self._most, self._clock = seconds, most_bytes, clock
        self._rows = _opened(path)
        self.bytes = int(self._one("SELECT coalesce(sum(size), 0) FROM responses")[0])
        self._end_what_ran()

    def __len__(self) -> int:
        return int(self._one("SELECT count(*) FROM responses")[0])

    def put(self, row: Row) -> None:
        """Write a row, new or changed."""
        body, given = _encoded(row.body), _encoded(row.input)
        size = len(body) + len(given) + len(row.events or b"")
        now = self._clock()
        with self._writing():
            known = self._rows.execute("SELECT created FROM responses WHERE id = ?", (row.id,)).fetchone()
            created = known[0] if known else now
            self._forget(row.id)
            values = (row.id, row.owner, row.previous, row.running, created, now, size, body, given, row.events)
            self._rows.execute(f"INSERT INTO responses VALUES ({','.join('?' * len(values))})", values)
            names = {str(item["id"]) for item in [*row.input, *row.body["output"]] if item.get("id")}
            self._rows.executemany("INSERT INTO items VALUES (?, ?, ?)", [(name, row.owner, row.id) for name in names])
            self.bytes += size
            self._make_room(row.id)
        self._rows.execute(f"PRAGMA incremental_vacuum({PAGES})")

    def get(self, owner: str, identifier: str) -> Row | None:
        """The row of this id, if it is this owner's."""
        found = self._rows.execute(
            "SELECT body, input, previous, running, events FROM responses WHERE id = ? AND owner = ? AND used > ?",
            (identifier, owner, self._clock() - self._seconds),
        ).fetchone()
        if found is None:
            return None
        body, given, previous, running, events = found
        return Row(
            id=identifier,
            owner=owner,
            body=json.loads(body),
            input=json.loads(given),
            previous=previous,
            running=bool(running),
            events=events,
        )

    def chain(self, owner: str, identifier: str) -> list[Row]:
        """The rows of a conversation from its beginning to this one; all of them count as used now.

        It begins with a row that has a `previous` where an earlier one has gone.
        """
        names = [name for (name,) in self._rows.execute(_CHAIN, {"id": identifier, "owner": owner})]
        rows = [row for name in names if (row := self.get(owner, name)) is not None]
        with self._writing():
            now = self._clock()
            self._rows.executemany("UPDATE responses SET used = ? WHERE id = ?", [(now, row.id) for row in rows])
        return rows

    def item(self, owner: str, identifier: str) -> dict[str, Any] | None:
        """The item of this id, from any of the owner's responses."""
        found = self._rows.execute(
            "SELECT response FROM items WHERE id = ? AND owner = ? LIMIT 1", (identifier, owner)
        ).fetchone()
        row = self.get(owner, found[0]) if found else None
        items = [*row.input, *row.body["output"]] if row else []
        return next((item for item in items if item.get("id") == identifier), None)

    def delete(self, owner: str, identifier: str) -> bool:
        """Forget a row; whether it was there."""
        if self.get(owner, identifier) is None:
            return False
        with self._writing():
            self._forget(identifier)
        return True

    def close(self) -> None:
        """Close the file."""
        self._rows.close()

    def _end_what_ran(self) -> None:
        """What ran when the file was last open will not come to an end any more."""
        ran = self._rows.execute("SELECT id, owner FROM responses WHERE running").fetchall()
        for identifier, owner in ran:
            row = self.get(owner, identifier)
            if row is not None:
                self.put(_failed(row))

    def _forget(self, identifier: str) -> None:
        found = self._rows.execute("SELECT size FROM responses WHERE id = ?", (identifier,)).fetchone()
        if found is not None:
            self.bytes -= found[0]
            self._rows.execute("DELETE FROM responses WHERE id = ?", (identifier,))

    def _make_room(self, newest: str) -> None:
        """Forget what has expired, and what is beyond the bytes; never what runs, or what was just written."""
        old = self._clock() - self._seconds
        for (name,) in self._rows.execute(
            "SELECT id FROM responses WHERE used <= ? AND NOT running", (old,)
        ).fetchall():
            self._forget(name)
        while self.bytes > self._most:
            found = self._rows.execute(
                "SELECT id FROM responses WHERE NOT running AND id != ? ORDER BY used, created DESC LIMIT 1", (newest,)
            ).fetchone()
            if found is None:
                return
            self._forget(found[0])

    def _one(self, query: str) -> Sequence[Any]:
        return self._rows.execute(query).fetchone()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """One transaction, whole or not at all."""
        before = self.bytes
        try:
            self._rows.execute("BEGIN IMMEDIATE")
            yield
            self._rows.execute("COMMIT")
        except BaseException as error:
            self.bytes = before
            if self._rows.in_transaction:
                self._rows.execute("ROLLBACK")
            if isinstance(error, sqlite3.Error):
                raise CapacityError(f"{self.path}: a response cannot be stored: {error}") from error
            raise


def _opened(path: str) -> sqlite3.Connection:
    try:
        if path != MEMORY:
            _make_private(Path(path))
        rows = sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False)
    except (OSError, sqlite3.Error) as error:
        raise ConfigError(f"{path}: responses cannot be stored here: {error}") from error
    try:
        rows.execute("PRAGMA foreign_keys = ON")
        rows.execute("PRAGMA locking_mode = EXCLUSIVE")
        version = int(rows.execute("PRAGMA user_version").fetchone()[0])
        if version not in (0, FORMAT):
            raise ConfigError(f"{path}: its format is {version}; {FORMAT} is right, and another file will do")
        rows.executescript(_TABLES)
        rows.execute("PRAGMA journal_mode = WAL")
        # A row survives the process; a power cut may take the last ones, and never the others.
        rows.execute("PRAGMA synchronous = NORMAL")
    except sqlite3.Error as error:
        rows.close()
        raise ConfigError(f"{path}: {_words(error)}") from error
    except ConfigError:
        rows.close()
        raise
    return rows


def _words(error: sqlite3.Error) -> str:
    if "locked" in str(error):
        return (
            "another server stores its responses here; a file of its own for each, --store FILE, or --no-store is right"
        )
    return f"this is no file of stored responses: {error}"


def _make_private(path: Path) -> None:
    """A folder and a file that nobody else reads."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))


def _failed(row: Row) -> Row:
    error = {"code": "server_error", "message": "the server ended before the response was complete"}
    body = {**row.body, "status": "failed", "error": error}
    return Row(id=row.id, owner=row.owner, body=body, input=row.input, previous=row.previous, events=row.events)


def _encoded(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")
