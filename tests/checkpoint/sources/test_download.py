import errno
import hashlib
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ossia.checkpoint.sources.download import STRETCH, Blob, Notes, download
from ossia.checkpoint.sources.part import PIECE
from ossia.checkpoint.sources.transport import TRIES, Client
from ossia.errors import CancelledError, CapacityError, DownloadError
from tests.checkpoint.sources.servers import Answer, Files, Request, git_sha1

CONTENT = random.Random(5).randbytes(5 * PIECE + 1234)


@pytest.fixture
def server() -> Iterator[Files]:
    with Files({"/model": CONTENT, "/small": b"hello", "/empty": b""}) as server:
        yield server


def blob_of(server: Files, path: str = "/model", **changes: object) -> Blob:
    data = server.files[path]
    fields = {"url": server.url + path, "size": len(data), "digest": f"sha256:{hashlib.sha256(data).hexdigest()}"}
    return Blob(**(fields | changes))  # type: ignore[arg-type]


def fetch(server: Files, folder: Path, blob: Blob | None = None, notes: Notes | None = None, **options: int) -> Path:
    blob = blob or blob_of(server)
    client = Client(server.url, timeout=5.0)
    download(client, blob, folder / "part", folder / "blobs" / "target", notes or Notes(), **options)
    return folder / "blobs" / "target"


def first_byte(request: Request) -> int:
    return int(request.headers["Range"].removeprefix("bytes=").split("-")[0])


def test_a_file_comes_whole_by_several_ranges(server: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("ossia.checkpoint.sources.download.SHORTEST_STRETCH", 2)
    assert fetch(server, tmp_path).read_bytes() == CONTENT
    assert not (tmp_path / "part").exists()
    asked = sorted(request.headers["Range"] for request in server.asked)
    assert asked == sorted(f"bytes={a * PIECE}-{min((a + 2) * PIECE, len(CONTENT)) - 1}" for a in (0, 2, 4))


@pytest.mark.parametrize("path", ["/small", "/empty"])
def test_small_files(server: Files, tmp_path: Path, path: str):
    assert fetch(server, tmp_path, blob_of(server, path)).read_bytes() == server.files[path]


def test_a_file_that_git_keeps_is_verified_by_its_hash(server: Files, tmp_path: Path):
    good = blob_of(server, "/small", digest=f"git-sha1:{git_sha1(b'hello')}")
    assert fetch(server, tmp_path, good).read_bytes() == b"hello"
    with pytest.raises(DownloadError, match=r"git-sha1:.* was announced"):
        fetch(server, tmp_path, blob_of(server, "/small", digest=f"git-sha1:{git_sha1(b'other')}"))


def test_git_agrees_about_its_hash(tmp_path: Path):
    """The judge: git itself."""
    (tmp_path / "file").write_bytes(b"hello")
    asked = ["git", "hash-object", str(tmp_path / "file")]
    assert subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip() == git_sha1(b"hello")


def test_cut_connections_are_taken_up_where_they_broke(server: Files, tmp_path: Path, no_waiting: list[float]):
    server.faults.cuts = [PIECE + 5, 0, 2 * PIECE]
    assert fetch(server, tmp_path, connections=1).read_bytes() == CONTENT
    firsts = [first_byte(request) // PIECE for request in server.asked]
    assert firsts == [0, 1, 1, 3]
    assert len(no_waiting) == 3


def test_a_server_that_gives_nothing_is_given_up(server: Files, tmp_path: Path, no_waiting: list[float]):
    server.faults.cuts = [0] * 100
    with pytest.raises(DownloadError, match=f"cut.*tried {TRIES} times. What has come is kept"):
        fetch(server, tmp_path)
    assert not (tmp_path / "blobs").exists()
    assert no_waiting == sorted(no_waiting)


def test_a_busy_server_is_waited_for_as_long_as_it_says(server: Files, tmp_path: Path, no_waiting: list[float]):
    server.faults.busy = [Answer(429, b"", {"Retry-After": "7"}), Answer(503)]
    assert fetch(server, tmp_path, connections=1).read_bytes() == CONTENT
    assert no_waiting[0] == 7.0


def test_a_refusal_is_final(server: Files, tmp_path: Path, no_waiting: list[float]):
    server.faults.busy = [Answer(403, b"", {"X-Error-Message": "no"})]
    with pytest.raises(DownloadError, match="answered 403 no"):
        fetch(server, tmp_path)
    assert no_waiting == []


def test_a_server_without_ranges_is_read_from_the_beginning(server: Files, tmp_path: Path, no_waiting: list[float]):
    server.faults.ranges = False
    assert fetch(server, tmp_path).read_bytes() == CONTENT
    server.faults.cuts = [0, 3 * PIECE, 100]
    assert fetch(server, tmp_path / "again").read_bytes() == CONTENT


def test_a_part_is_continued_without_ranges_too(server: Files, tmp_path: Path):
    stop_after(server, tmp_path, 2 * PIECE)
    server.faults.ranges = False
    assert fetch(server, tmp_path).read_bytes() == CONTENT


def test_a_wrong_content_gets_no_name_and_is_removed(server: Files, tmp_path: Path):
    server.faults.lie = lambda data: data[:-1] + b"!"
    with pytest.raises(DownloadError, match=r"checksum is sha256:\w+; sha256:\w+ was announced"):
        fetch(server, tmp_path)
    assert not (tmp_path / "part").exists()
    assert not (tmp_path / "blobs").exists()


@pytest.mark.parametrize("ranges", [True, False])
@pytest.mark.parametrize("change", [lambda data: data + b"more", lambda data: data[:-10], lambda data: data[:PIECE]])
def test_another_size_than_announced_is_refused(server: Files, tmp_path: Path, ranges: bool, change):
    server.faults.ranges, server.faults.lie = ranges, change
    with pytest.raises(DownloadError, match=r"were announced|asked for bytes|shorter than the announced"):
        fetch(server, tmp_path)
    assert not (tmp_path / "blobs").exists()


def test_a_range_that_was_not_asked_for_is_refused(server: Files, tmp_path: Path):
    wrong = Answer(206, CONTENT[5:15], {"Content-Range": f"bytes 5-14/{len(CONTENT)}"})
    for answer in (wrong, Answer(206, CONTENT[:10], {}), Answer(206, b"", {"Content-Range": "bytes 0-9/*/x"})):
        server.faults.busy = [answer] * 10
        with pytest.raises(DownloadError, match="when asked for bytes 0-"):
            fetch(server, tmp_path, connections=1)


def stop_after(server: Files, folder: Path, count: int) -> None:
    """A download that its user stops."""
    arrived = [0]
    notes = Notes(downloaded=lambda done: arrived.__setitem__(0, done), stopped=lambda: arrived[0] >= count)
    server.faults.chunk_delay = 0.01
    with pytest.raises(CancelledError, match="what has come is kept"):
        fetch(server, folder, notes=notes, connections=1)
    server.faults.chunk_delay = 0.0


def test_a_stopped_download_goes_on_later(server: Files, tmp_path: Path):
    stop_after(server, tmp_path, 3 * PIECE)
    before = len(server.asked)
    assert fetch(server, tmp_path, connections=1).read_bytes() == CONTENT
    assert first_byte(server.asked[before]) >= 3 * PIECE


def test_a_spoilt_part_is_fetched_anew_once(server: Files, tmp_path: Path):
    stop_after(server, tmp_path, 3 * PIECE)
    with (tmp_path / "part").open("r+b") as part:
        part.write(b"spoilt")
    assert fetch(server, tmp_path).read_bytes() == CONTENT


def test_a_part_of_another_size_is_begun_anew(server: Files, tmp_path: Path):
    (tmp_path / "part").write_bytes(b"what somebody left there")
    assert fetch(server, tmp_path).read_bytes() == CONTENT


def test_killed_between_the_last_byte_and_the_name(server: Files, tmp_path: Path):
    (tmp_path / "part").write_bytes(CONTENT)
    assert fetch(server, tmp_path).read_bytes() == CONTENT
    assert server.asked == []


def test_stopping_does_not_wait_for_a_silent_server(server: Files, tmp_path: Path):
    server.faults.stall = threading.Event()
    server.faults.stall.set()
    begun = time.monotonic()
    with pytest.raises(CancelledError):
        fetch(server, tmp_path, notes=Notes(stopped=lambda: time.monotonic() - begun > 0.3))
    assert time.monotonic() - begun < 3.0


def test_a_slow_server_is_only_slow(server: Files, tmp_path: Path):
    server.faults.chunk_delay = 0.02
    told: list[int] = []
    assert fetch(server, tmp_path, notes=Notes(downloaded=told.append)).read_bytes() == CONTENT
    assert told[-1] == len(CONTENT)
    assert len(set(told)) > 2


def test_a_killed_download_loses_a_piece_at_most(server: Files, tmp_path: Path):
    """kill -9 in the middle, then the rest: less is asked for than is missing and a piece for each connection."""
    server.faults.chunk_delay = 0.02
    blob = blob_of(server)
    code = (
        "import sys; from pathlib import Path; from ossia.checkpoint.sources.download import *;"
        "from ossia.checkpoint.sources.transport import Client; url, size, digest, folder = sys.argv[1:];"
        "download(Client(url), Blob(url, int(size), digest), Path(folder) / 'part', Path(folder) / 'blobs' / 'target',"
        " Notes(downloaded=lambda done: print(done, flush=True)), 1)"
    )
    command = [sys.executable, "-c", code, blob.url, str(blob.size), blob.digest, str(tmp_path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    arrived = next(count for line in process.stdout if (count := int(line)) > 2 * PIECE)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert not (tmp_path / "blobs").exists()
    server.faults.chunk_delay = 0.0
    before = len(server.asked)
    assert fetch(server, tmp_path, connections=1).read_bytes() == CONTENT
    assert first_byte(server.asked[before]) >= arrived - PIECE


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_named_and_what_has_come_is_kept(
    server: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
):
    write = os.write

    def full(handle: int, data: bytes) -> int:
        if os.lseek(handle, 0, os.SEEK_CUR) == 2 * PIECE:
            raise OSError(code, "no room")
        return write(handle, data)

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(CapacityError, match="disk is full; what has come is kept"):
        fetch(server, tmp_path, connections=1)
    monkeypatch.setattr(os, "write", write)
    before = len(server.asked)
    assert fetch(server, tmp_path, connections=1).read_bytes() == CONTENT
    assert server.asked[before].headers["Range"].startswith(f"bytes={2 * PIECE}-")


def test_a_link_in_place_of_the_part_is_not_followed(server: Files, tmp_path: Path):
    (tmp_path / "precious").write_text("mine")
    (tmp_path / "part").symlink_to(tmp_path / "precious")
    with pytest.raises(DownloadError, match="cannot be written"):
        fetch(server, tmp_path)
    assert (tmp_path / "precious").read_text() == "mine"


def test_stretches_are_bounded(server: Files, tmp_path: Path):
    server.files["/model"] = bytes((STRETCH + 1) * PIECE)
    fetch(server, tmp_path, connections=1)
    assert len(server.asked) == 2
