"""One file by parallel ranges: resumed where it was left, verified, and only then given its name.

Several threads take stretches of missing pieces and ask for each by a range of its own, at the address where the file
is named: a content network's address may expire while a large file is on its way. A server that knows no ranges is
read once from the beginning.
"""

import contextlib
import http.client
import queue
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ossia.checkpoint.sources.part import PIECE, Part
from ossia.checkpoint.sources.transport import TRIES, Client, RefusedError, TransientError, broken, pause, shown
from ossia.errors import CancelledError, DownloadError, OssiaError

__all__ = ["CONNECTIONS", "Blob", "Notes", "download"]

CONNECTIONS = 8
"""Ranges that are fetched at the same time."""

STRETCH = 64
SHORTEST_STRETCH = 4
"""Pieces that one request asks for, at most, and at least where there are as many beside each other."""

_CHUNK = 256 << 10
_TICK_SECONDS = 0.1


Work = Callable[[threading.Event], None]
"""Something to be done in a thread, until the event says that nobody wants it any more."""


@dataclass(frozen=True)
class Blob:
    """A file to fetch: where, how long it is, and its checksum, `sha256:…` or `git-sha1:…`."""

    url: str
    size: int
    digest: str


@dataclass(frozen=True)
class Notes:
    """What a download tells and asks: always in the thread that called `download`."""

    downloaded: Callable[[int], None] = lambda completed: None
    verified: Callable[[int], None] = lambda completed: None
    stopped: Callable[[], bool] = lambda: False


class _RangesIgnoredError(Exception):
    """The server sends the whole file whatever is asked."""


def download(
    client: Client, blob: Blob, part: Path, target: Path, notes: Notes, connections: int = CONNECTIONS
) -> None:
    """Fetch `blob` into `part`, verify it, and rename it to `target`.

    An earlier attempt's part is continued; if it then fails its checksum, it is fetched once more from the beginning.
    Raises DownloadError (CancelledError when stopped), CapacityError when the disk is full. The part stays, unless its
    content was wrong.
    """
    with Part(part, blob.size, blob.digest.partition(":")[0]) as file:
        resumed = file.resumed
        _Download(client, blob, file, notes, connections).run()
        found = _digest(file, notes)
        if found != blob.digest and resumed:
            file.clear()
            _Download(client, blob, file, notes, connections).run()
            found = _digest(file, notes)
        if found != blob.digest:
            part.unlink(missing_ok=True)
            raise DownloadError(
                f"{shown(blob.url)}: its checksum is {found}; {blob.digest} was announced. It is removed"
            )
        file.become(target)


def _digest(file: Part, notes: Notes) -> str:
    def progress(completed: int) -> None:
        if notes.stopped():
            raise CancelledError("stopped; what has come is kept for the next time")
        notes.verified(completed)

    return f"{file.kind}:{file.digest(progress)}"


class _Download:
    """The threads of one file, and the books that they share."""

    def __init__(self, client: Client, blob: Blob, part: Part, notes: Notes, connections: int) -> None:
        self._client = client
        self._blob = blob
        self._part = part
        self._notes = notes
        self._connections = connections
        self._lock = threading.Lock()
        self._arrived = part.completed

    def run(self) -> None:
        """Until every piece is there. Raises what went wrong in any thread."""
        if self._part.pieces > 1:
            with contextlib.suppress(_RangesIgnoredError):
                self._repeat(lambda: [partial(self._stretch, one) for one in self._stretches()])
        self._repeat(lambda: [self._whole] if self._part.missing() else [])
        self._notes.downloaded(self._blob.size)

    def _repeat(self, work: Callable[[], list[Work]]) -> None:
        """Do what is left to do, again with pauses after failures that may pass, while it comes to anything."""
        fruitless = 0
        while left := work():
            before = len(self._part.missing())
            failure = self._round(left)
            self._arrived = self._part.completed
            if failure is not None:
                fruitless = 0 if len(self._part.missing()) < before else fruitless + 1
                self._patience(failure, fruitless)

    def _round(self, work: list[Work]) -> TransientError | None:
        """Do it all, in threads; tell the progress; the failure that may pass, if there was one."""
        crew, failure = _Crew(work, self._connections), None
        try:
            for _ in work:
                while (outcome := crew.next_outcome()) is _STILL_WORKING:
                    self._look_up()
                if isinstance(outcome, TransientError):
                    failure = outcome
                elif isinstance(outcome, Exception):
                    raise outcome
                self._look_up()
        finally:
            crew.over.set()
        return failure

    def _stretches(self) -> list[range]:
        """The missing pieces, shared out among the connections."""
        missing = self._part.missing()
        share = -(-len(missing) // self._connections)
        return _stretches(missing, min(max(share, SHORTEST_STRETCH), STRETCH))

    def _look_up(self) -> None:
        if self._notes.stopped():
            raise CancelledError("stopped; what has come is kept for the next time")
        self._notes.downloaded(min(self._arrived, self._blob.size))
        self._part.hash_ahead()

    def _patience(self, failure: TransientError, fruitless: int) -> None:
        if fruitless >= TRIES:
            raise DownloadError(f"{failure}; tried {TRIES} times. What has come is kept for the next time") from None
        pause(max(failure.wait, 2.0 ** (fruitless - 1)), self._notes.stopped)

    def _stretch(self, pieces: range, over: threading.Event) -> None:
        first, end = pieces.start * PIECE, min(pieces.stop * PIECE, self._blob.size)
        with self._answer({"Range": f"bytes={first}-{end - 1}"}) as answer:
            if answer.status != http.client.PARTIAL_CONTENT:
                raise _RangesIgnoredError
            self._check_range(answer, first, end)
            for piece in pieces:
                if not self._piece(answer, piece, over):
                    return

    def _whole(self, over: threading.Event) -> None:
        missing = set(self._part.missing())
        with self._answer({}) as answer:
            self._check_length(answer)
            for piece in range(self._part.pieces):
                if not self._piece(answer, piece, over, keep=piece in missing):
                    return

    def _piece(self, answer: http.client.HTTPResponse, piece: int, over: threading.Event, keep: bool = True) -> bool:
        """Read one piece to its end and mark it; False when it is not wanted any more."""
        at, end = piece * PIECE, piece * PIECE + self._part.length(piece)
        while at < end:
            if over.is_set():
                return False
            data = self._read(answer, min(_CHUNK, end - at))
            if over.is_set() or (keep and not self._part.write(at, data)):
                return False
            at += len(data)
            with self._lock:
                self._arrived += len(data) if keep else 0
        if keep:
            self._part.mark(piece)
        return True

    def _read(self, answer: http.client.HTTPResponse, count: int) -> bytes:
        try:
            data = answer.read1(count)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise broken(error, self._blob.url) from None
        if not data:
            raise TransientError(f"{shown(self._blob.url)}: the connection was cut")
        return data

    def _answer(self, headers: dict[str, str]) -> http.client.HTTPResponse:
        try:
            return self._client.open(self._blob.url, headers)
        except RefusedError as error:
            if error.status == http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
                raise DownloadError(f"{error}: it is shorter than the announced {self._blob.size} bytes") from None
            raise

    def _check_range(self, answer: http.client.HTTPResponse, first: int, end: int) -> None:
        text = answer.headers.get("Content-Range", "")
        match = re.fullmatch(r"bytes (\d{1,19})-(\d{1,19})/(\d{1,19}|\*)", text.strip())
        if not match or (int(match[1]), int(match[2])) != (first, end - 1):
            raise DownloadError(f"{shown(self._blob.url)}: sent {text!r:.80} when asked for bytes {first}-{end - 1}")
        if match[3] not in ("*", str(self._blob.size)):
            raise DownloadError(f"{shown(self._blob.url)}: has {match[3]} bytes; {self._blob.size} were announced")

    def _check_length(self, answer: http.client.HTTPResponse) -> None:
        length = answer.headers.get("Content-Length")
        if length is not None and length != str(self._blob.size):
            raise DownloadError(f"{shown(self._blob.url)}: has {length:.20} bytes; {self._blob.size} were announced")


class _Crew:
    """Threads that do pieces of work in order. They do not keep the process alive: a silent server could, for long."""

    def __init__(self, work: list[Work], threads: int) -> None:
        self.over = threading.Event()
        self._work: queue.SimpleQueue[Work] = queue.SimpleQueue()
        self._outcomes: queue.SimpleQueue[Exception | None] = queue.SimpleQueue()
        for one in work:
            self._work.put(one)
        for _ in range(min(threads, len(work))):
            threading.Thread(target=self._labour, name="ossia-download", daemon=True).start()

    def next_outcome(self) -> "Exception | _StillWorking | None":
        """What became of one piece of work: None when it was done."""
        try:
            return self._outcomes.get(timeout=_TICK_SECONDS)
        except queue.Empty:
            return _STILL_WORKING

    def _labour(self) -> None:
        while not self.over.is_set():
            try:
                work = self._work.get_nowait()
            except queue.Empty:
                return
            outcome: Exception | None = DownloadError("a thread of the download ended for a reason of its own")
            try:
                work(self.over)
                outcome = None
            except (OssiaError, _RangesIgnoredError) as error:
                outcome = error
            finally:
                self._outcomes.put(outcome)


class _StillWorking:
    """No outcome yet."""


_STILL_WORKING = _StillWorking()


def _stretches(missing: list[int], longest: int) -> list[range]:
    """Neighbouring pieces together, at most `longest`.

    >>> _stretches([0, 1, 2, 4], 2)
    [range(0, 2), range(2, 3), range(4, 5)]
    """
    found: list[range] = []
    for piece in missing:
        if found and found[-1].stop == piece and len(found[-1]) < longest:
            found[-1] = range(found[-1].start, piece + 1)
        else:
            found.append(range(piece, piece + 1))
    return found
