import hashlib
from pathlib import Path

import pytest

from ossia.checkpoint.sources.part import PIECE, Part, missing_bytes

SIZE = 2 * PIECE + 10


def test_pieces_are_remembered(tmp_path: Path):
    with Part(tmp_path / "part", SIZE) as part:
        assert (part.pieces, part.resumed, part.completed) == (3, False, 0)
        assert [part.length(piece) for piece in range(3)] == [PIECE, PIECE, 10]
        part.write(PIECE, b"x" * PIECE)
        part.mark(1)
        part.write(2 * PIECE, b"half")
    with Part(tmp_path / "part", SIZE) as part:
        assert part.resumed
        assert part.missing() == [0, 2]
        assert part.completed == PIECE


def test_the_disk_holds_no_more_than_has_come(tmp_path: Path):
    with Part(tmp_path / "part", SIZE) as part:
        part.write(0, b"x" * PIECE)
    assert missing_bytes(tmp_path / "part", SIZE) <= PIECE + 10
    assert missing_bytes(tmp_path / "none", SIZE) == SIZE


def test_nothing_is_written_after_the_end(tmp_path: Path):
    part = Part(tmp_path / "part", SIZE)
    part.close()
    assert not part.write(0, b"late")
    part.mark(0)
    assert part.missing() == [0, 1, 2]
    assert (tmp_path / "part").read_bytes() == bytes(SIZE + 3)


@pytest.mark.parametrize("left", [b"", b"x", b"x" * (SIZE + 2), b"x" * (SIZE + 4)])
def test_what_is_of_another_length_is_no_part(tmp_path: Path, left: bytes):
    (tmp_path / "part").write_bytes(left)
    with Part(tmp_path / "part", SIZE) as part:
        assert not part.resumed
    assert (tmp_path / "part").read_bytes() == bytes(SIZE + 3)


def test_marks_that_are_none_count_as_missing(tmp_path: Path):
    (tmp_path / "part").write_bytes(bytes(SIZE) + b"\1\xff\2")
    with Part(tmp_path / "part", SIZE) as part:
        assert part.missing() == [1, 2]


def test_it_becomes_the_file(tmp_path: Path):
    told: list[int] = []
    with Part(tmp_path / "part", SIZE) as part:
        part.write(0, bytes(SIZE))
        assert part.digest(told.append) == hashlib.sha256(bytes(SIZE)).hexdigest()
        part.become(tmp_path / "deep" / "target")
    assert (tmp_path / "deep" / "target").read_bytes() == bytes(SIZE)
    assert not (tmp_path / "part").exists()
    assert told[-1] == SIZE


@pytest.mark.parametrize("kind", ["sha256", "git-sha1"])
def test_what_has_come_is_hashed_ahead(tmp_path: Path, kind: str):
    """In whatever order pieces come, and however far the hash has got, it is that of the content."""
    content = b"".join(bytes([piece + 1]) * PIECE for piece in range(3))[:SIZE]
    right = {"sha256": hashlib.sha256(content), "git-sha1": hashlib.sha1(b"blob %d\0" % SIZE + content)}
    told: list[int] = []
    with Part(tmp_path / "part", SIZE, kind) as part:
        for piece in (1, 0, 2):
            part.hash_ahead()
            part.write(piece * PIECE, content[piece * PIECE : (piece + 1) * PIECE])
            part.mark(piece)
            part.hash_ahead(most=1)
        assert part.digest(told.append) == right[kind].hexdigest()
    # Nothing was left to do.
    assert told == [SIZE]


def test_it_can_be_begun_anew(tmp_path: Path):
    with Part(tmp_path / "part", SIZE) as part:
        part.write(0, b"x" * PIECE)
        part.mark(0)
        part.clear()
        assert part.missing() == [0, 1, 2]
    assert (tmp_path / "part").read_bytes() == bytes(SIZE + 3)
