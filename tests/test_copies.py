"""The copies in 8 bits: which, kept where, and made anew when they do not fit."""

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ossia import copies, int4, loading
from ossia.checkpoint import Checkpoint, open_checkpoint
from ossia.checkpoint.safetensors import read_file
from ossia.copies import Copies, in_8_bits
from ossia.engine import Engine, EngineConfig, SamplingParams
from ossia.int4 import Screened
from ossia.int8 import Int8, encode
from ossia.ops import Ops, Precision, make_ops
from tests.cli.tiny import CONFIG, write_tiny


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where copies are kept, however few they are."""
    monkeypatch.setattr(copies, "WORTH_KEEPING", 0)
    return tmp_path / "cache"


@pytest.fixture
def checkpoint(tmp_path: Path) -> Checkpoint:
    return open_checkpoint(write_tiny(tmp_path / "tiny"))


class Counting:
    """A backend that counts what it rounds."""

    def __init__(self) -> None:
        self.ops: Ops = make_ops("native", "fast")
        self.rounded = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.ops, name)

    def round_int8(self, tensor: np.ndarray) -> Any:
        self.rounded += 1
        return self.ops.round_int8(tensor)


def of(checkpoint: Checkpoint, folder: Path | None) -> tuple[Copies, int]:
    ops: Any = Counting()
    return Copies.of(checkpoint, ops, folder), ops.rounded


def test_which_matrices(checkpoint: Checkpoint):
    wanted = in_8_bits(checkpoint.config, Precision.FAST)
    names = {name.split(".")[-2] for name in wanted}
    assert names == {"q_proj", "k_proj", "v_proj", "o_proj", "lm_head"}
    assert len(wanted) == 4 * CONFIG.num_hidden_layers + 1
    assert wanted["lm_head.weight"] == (CONFIG.vocab_size, CONFIG.hidden_size)


def test_they_stand_in_place_of_the_checkpoint_s(checkpoint: Checkpoint):
    found, made = of(checkpoint, None)
    assert made == len(in_8_bits(checkpoint.config, Precision.FAST))
    assert (found.kept, found.written) == (None, False)
    assert set(found) == set(checkpoint.tensors)
    for name, tensor in checkpoint.tensors.items():
        if name in in_8_bits(checkpoint.config, Precision.FAST):
            assert isinstance(tensor, np.ndarray)
            np.testing.assert_array_equal(found.copies[name].panels, encode(tensor).panels)
            assert found[name] is found.copies[name]
        else:
            assert type(found[name]) is type(tensor)


def test_few_are_not_kept(checkpoint: Checkpoint, tmp_path: Path):
    found, _ = of(checkpoint, tmp_path / "cache")
    assert found.kept is None
    assert not (tmp_path / "cache").exists()


def test_made_once_then_read(checkpoint: Checkpoint, folder: Path):
    first, made = of(checkpoint, folder)
    second, again = of(checkpoint, folder)
    assert (first.written, second.written) == (True, False)
    assert first.kept == second.kept
    assert made > 0
    assert again == 0
    for name, copy in first.copies.items():
        np.testing.assert_array_equal(second.copies[name].panels, copy.panels)
    assert [file.suffix for file in folder.iterdir()] == [".safetensors"]


def test_another_file_of_the_checkpoint_makes_others_and_removes_the_old(checkpoint: Checkpoint, folder: Path):
    first, _ = of(checkpoint, folder)
    assert first.kept is not None
    os.utime(first.kept, (0, 0))
    file = next(checkpoint.path.glob("*.safetensors"))
    os.utime(file, ns=(1, 1))
    second, made = of(checkpoint, folder)
    assert made > 0
    assert second.kept != first.kept
    assert list(folder.iterdir()) == [second.kept]


def test_two_checkpoints_do_not_share(checkpoint: Checkpoint, folder: Path, tmp_path: Path):
    other = open_checkpoint(write_tiny(tmp_path / "other"))
    first, second = of(checkpoint, folder)[0], of(other, folder)[0]
    assert first.kept != second.kept
    assert len(list(folder.iterdir())) == 2


@pytest.mark.parametrize("damage", ["flipped", "short", "empty", "other names", "zeros", "panels in another order"])
def test_damaged_copies_are_made_anew(checkpoint: Checkpoint, folder: Path, damage: str):
    first, _ = of(checkpoint, folder)
    assert first.kept is not None
    content = bytearray(first.kept.read_bytes())
    match damage:
        case "flipped":
            content[-1000] ^= 1
        case "short":
            del content[-64:]
        case "empty":
            content.clear()
        case "zeros":
            start = 8 + int.from_bytes(content[:8], "little")
            content[start:] = bytes(len(content) - start)
        case "panels in another order":
            place = content.index(first["lm_head.weight"].panels.tobytes())  # type: ignore[union-attr]
            size = first["lm_head.weight"].panels.shape[1]  # type: ignore[union-attr]
            one, two = slice(place, place + size), slice(place + size, place + 2 * size)
            content[one], content[two] = content[two], content[one]
        case _:
            content = content.replace(b"lm_head", b"lm_hand")
    first.kept.unlink()  # what is mapped stays as it was
    first.kept.write_bytes(content)
    second, made = of(checkpoint, folder)
    assert made == len(in_8_bits(checkpoint.config, Precision.FAST))
    assert second.written
    third, made = of(checkpoint, folder)
    assert made == 0
    np.testing.assert_array_equal(third["lm_head.weight"].panels, first["lm_head.weight"].panels)  # type: ignore[union-attr]


@pytest.mark.parametrize("name", ["model.layers.0.self_attn.k_proj.weight", "lm_head.weight"])
@pytest.mark.parametrize("ahead", [True, False])
def test_a_bit_in_any_part_is_noticed(
    checkpoint: Checkpoint, folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, ahead: bool
):
    monkeypatch.setenv("OSSIA_CACHE", str(folder))
    first, _ = of(checkpoint, folder)
    assert first.kept is not None
    panels = first.copies[name].panels
    content = bytearray(first.kept.read_bytes())
    place = content.index(panels.tobytes())
    first.kept.unlink()  # what is mapped stays as it was
    for at in (place, place + panels.nbytes - 1):
        content[at] ^= 0x80
        first.kept.write_bytes(content)
        first.kept.chmod(0o600)
        opening = loading.open_weights(checkpoint, precision="fast")
        loaded = (opening.look_ahead() if ahead else opening).loaded()
        assert loaded.copies is not None
        assert loaded.copies.written
        np.testing.assert_array_equal(loaded.copies.copies[name].panels, panels)
        content[at] ^= 0x80


def test_sound_copies_looked_at_ahead_are_computed_with(
    checkpoint: Checkpoint, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("OSSIA_CACHE", str(folder))
    first = Copies.of(checkpoint, make_ops("native", "fast"), folder, screens=True)
    monkeypatch.setattr(Copies, "of", lambda *_, **__: pytest.fail("they were looked at twice"))
    loaded = loading.open_weights(checkpoint, precision="fast").look_ahead().loaded()
    assert loaded.copies is not None
    assert (loaded.copies.kept, loaded.copies.written) == (first.kept, False)


def test_what_another_user_could_have_written_is_not_believed(checkpoint: Checkpoint, folder: Path):
    first, _ = of(checkpoint, folder)
    assert first.kept is not None
    assert first.kept.stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o777 == 0o700
    first.kept.chmod(0o666)
    assert of(checkpoint, folder)[0].written
    assert not of(checkpoint, folder)[0].written


def test_the_same_times_on_other_contents_make_others(checkpoint: Checkpoint, folder: Path):
    first, _ = of(checkpoint, folder)
    file = next(checkpoint.path.glob("*.safetensors"))
    times = file.stat().st_atime_ns, file.stat().st_mtime_ns
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    os.utime(file, ns=times)
    assert of(checkpoint, folder)[0].kept != first.kept


def test_a_split_gguf_is_all_of_its_parts(tmp_path: Path):
    parts = [tmp_path / f"m-0000{n}-of-00002.gguf" for n in (1, 2)]
    for part in parts:
        part.write_bytes(b"x")
    before = copies._name(parts[0])
    parts[1].write_bytes(b"yy")
    assert copies._name(parts[0]) != before


def test_odd_names_and_links_to_nowhere_are_no_error(checkpoint: Checkpoint, folder: Path):
    (checkpoint.path / "other.safetensors").symlink_to("nowhere")
    assert of(checkpoint, folder)[0].written
    assert copies._name(Path(os.fsdecode(b"/tmp/\xff"))).endswith(".safetensors")


def test_what_is_of_no_use_is_removed_when_others_are_written(checkpoint: Checkpoint, folder: Path, tmp_path: Path):
    gone = open_checkpoint(write_tiny(tmp_path / "gone"))
    orphan = of(gone, folder)[0].kept
    abandoned, recent, foreign = (folder / name for name in (".a.part", ".b.part", "foreign.safetensors"))
    for file in (abandoned, recent, foreign):
        file.write_bytes(b"not of this package")
    os.utime(abandoned, (0, 0))
    shutil.rmtree(gone.path)
    kept = of(checkpoint, folder)[0].kept
    assert orphan is not None
    assert set(folder.iterdir()) == {kept, recent, foreign}


def test_what_is_computed_with(checkpoint: Checkpoint):
    found, _ = of(checkpoint, None)
    replaced = sum(2 * rows * columns for rows, columns in in_8_bits(checkpoint.config, Precision.FAST).values())
    made = sum(copy.panels.nbytes for copy in found.copies.values())
    assert found.computed_bytes(checkpoint) == checkpoint.bytes - replaced + made
    loaded = loading.load_weights(checkpoint, precision="exact")
    assert loaded.computed_bytes == checkpoint.bytes - CONFIG.vocab_size * CONFIG.hidden_size * 2


def test_a_folder_that_cannot_be_written_is_said_and_nothing_is_lost(checkpoint: Checkpoint, folder: Path):
    folder.write_text("a file, not a folder")
    found, made = of(checkpoint, folder)
    assert made > 0
    assert found.kept is None
    assert str(folder) in found.refused


def test_the_file_is_safetensors_that_others_can_read(checkpoint: Checkpoint, folder: Path):
    judge = pytest.importorskip("safetensors.numpy")
    found, _ = of(checkpoint, folder)
    assert found.kept is not None
    read = judge.load_file(found.kept)
    assert set(read) == {*in_8_bits(checkpoint.config, Precision.FAST), "checksums"} == set(read_file(found.kept))


def test_loading_says_it_once(checkpoint: Checkpoint, folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("OSSIA_CACHE", str(folder))
    order = ("exact", "exact", "fast", "fast", "exact")
    news = [loading.load_weights(checkpoint, precision=precision).news for precision in order]
    assert news[1] == news[3] == news[4] == []
    assert "a copy of the unembedding in 8 bits" in news[0][0]
    assert "are kept in" in news[2][0]
    assert all(str(folder) in line for line in (news[0][0], news[2][0]))


# At exact ----------------------------------------------------------------------------------------


class Exact(Counting):
    """The same at exact."""

    def __init__(self) -> None:
        super().__init__()
        self.ops = make_ops("native", "exact")


def beside(checkpoint: Checkpoint, folder: Path | None) -> tuple[Copies, int]:
    ops: Any = Exact()
    return Copies.of(checkpoint, ops, folder), ops.rounded


def test_exact_has_one_of_a_large_unembedding(checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch):
    assert in_8_bits(checkpoint.config, Precision.EXACT) == {}
    monkeypatch.setattr(copies, "WORTH_KEEPING", 0)
    shape = CONFIG.vocab_size, CONFIG.hidden_size
    assert in_8_bits(checkpoint.config, Precision.EXACT) == {"lm_head.weight": shape}


def test_it_stands_beside_what_it_was_made_from(checkpoint: Checkpoint, folder: Path):
    found, made = beside(checkpoint, folder)
    assert (made, found.beside, found.written) == (1, True, True)
    head = found["lm_head.weight"]
    assert isinstance(head, Screened)
    stored = checkpoint.tensors["lm_head.weight"]
    assert isinstance(stored, np.ndarray)
    assert np.shares_memory(head.values, stored)
    np.testing.assert_array_equal(head.copy.panels, encode(stored).panels)
    assert isinstance(found["model.norm.weight"], np.ndarray)
    assert found.computed_bytes(checkpoint) == checkpoint.bytes + found.bytes
    assert beside(checkpoint, folder)[1] == 0


def test_exact_reads_what_fast_has_kept_and_neither_removes_the_other_s(checkpoint: Checkpoint, folder: Path):
    beside(checkpoint, folder)
    first, made = of(checkpoint, folder)
    assert (first.written, made) == (True, len(in_8_bits(checkpoint.config, Precision.FAST)))
    second, again = beside(checkpoint, folder)
    assert (second.written, again, second.kept) == (False, 0, first.kept)
    assert of(checkpoint, folder)[1] == 0


def test_without_a_folder_exact_has_none(checkpoint: Checkpoint, folder: Path):
    found, made = beside(checkpoint, None)
    assert (made, found.copies) == (0, {})
    assert isinstance(found["lm_head.weight"], np.ndarray)


def test_at_fast_one_in_4_bits_stands_beside_that_in_8(checkpoint: Checkpoint, folder: Path):
    plain, _ = of(checkpoint, folder)
    ops: Any = Counting()
    found = Copies.of(checkpoint, ops, folder, screens=True)
    assert (plain.screens, found.screens, found.written) == (False, True, True)
    head = found["lm_head.weight"]
    assert isinstance(head, Screened)
    assert isinstance(head.values, Int8)
    assert head.values is found.copies["lm_head.weight"]
    np.testing.assert_array_equal(head.copy.panels, int4.encode(head.values).panels)
    assert set(found) == set(checkpoint.tensors)
    assert found.computed_bytes(checkpoint) == plain.computed_bytes(checkpoint) + head.copy.panels.nbytes
    again, without = Copies.of(checkpoint, ops, folder, screens=True), of(checkpoint, folder)
    assert (again.screens, again.written, again.kept) == (True, False, found.kept)
    assert (without[0].screens, without[0].written, without[1]) == (False, False, 0)  # a part of that file
    assert not Copies.of(checkpoint, ops, None, screens=True).screens


@pytest.mark.parametrize("precision", ["exact", "fast", "turbo"])
def test_loading_screens_where_memory_holds_it(
    checkpoint: Checkpoint, folder: Path, monkeypatch: pytest.MonkeyPatch, precision: str
):
    monkeypatch.setenv("OSSIA_CACHE", str(folder))
    loaded = loading.load_weights(checkpoint, precision=precision)
    assert loaded.screened
    assert loaded.copies is not None
    embedding = CONFIG.vocab_size * CONFIG.hidden_size * 2
    assert loaded.computed_bytes == loaded.copies.computed_bytes(checkpoint) - embedding
    assert precision != "exact" or loaded.computed_bytes == checkpoint.bytes + loaded.copies.bytes - embedding
    assert not loading.load_weights(checkpoint, precision=precision, backend="reference").screened
    monkeypatch.setattr(loading, "available_bytes", lambda: checkpoint.bytes)
    assert not loading.load_weights(checkpoint, precision=precision).screened
    monkeypatch.setattr(loading, "available_bytes", lambda: None)
    assert loading.load_weights(checkpoint, precision=precision).screened
    monkeypatch.setenv("OSSIA_CACHE", "")
    assert not loading.load_weights(checkpoint, precision=precision).screened


@pytest.mark.parametrize("precision", ["exact", "fast"])
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_an_engine_draws_the_same_tokens_with_a_screen(
    checkpoint: Checkpoint, folder: Path, monkeypatch: pytest.MonkeyPatch, temperature: float, precision: str
):
    params = SamplingParams(temperature=temperature, max_tokens=24, seed=1)
    answers = []
    for cache in ("", str(folder)):
        monkeypatch.setenv("OSSIA_CACHE", cache)
        loaded = loading.load_weights(checkpoint, precision=precision)
        assert loaded.screened == bool(cache)
        outputs = Engine(loaded.model, EngineConfig(context=64)).generate([5, 6, 7], params)
        answers.append([token for output in outputs for token in output.tokens])
    assert answers[0] == answers[1]
    assert len(answers[0]) == 24
