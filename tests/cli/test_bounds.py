"""What a decoding step must read, and how fast memory is."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

from ossia.checkpoint import Checkpoint, expected_tensors, open_checkpoint, published_configs, write
from ossia.cli import _bounds
from ossia.config import ModelConfig
from ossia.ops import CacheDtype, Precision
from tests.cli.tiny import CONFIG, VOCABULARY


def test_a_step_reads_all_but_the_embedding_and_the_idle_experts(tiny: Path):
    checkpoint = open_checkpoint(tiny)
    rest = experts = 0
    for name, tensor in checkpoint.tensors.items():
        nbytes = tensor.nbytes if isinstance(tensor, np.ndarray) else tensor.blocks.nbytes + tensor.scales.nbytes
        if ".experts." in name:
            experts += nbytes
        elif name != "model.embed_tokens.weight":
            rest += nbytes
    row = CONFIG.hidden_size * 2
    assert _bounds.weight_bytes(checkpoint) == pytest.approx(rest + experts / 2 + row)
    # Two tokens that choose 2 of 4 experts each, independently: a quarter of the experts stays idle on average.
    assert _bounds.weight_bytes(checkpoint, 2) == pytest.approx(rest + experts * 0.75 + 2 * row)


def test_the_published_20b_model():
    """1.27 GB experts, 1.28 GB attention, 1.16 GB unembedding: the project's own arithmetic, to a percent."""
    config = ModelConfig.read(published_configs()["20b"])
    specs = expected_tensors(config)
    stored = {name: "MXFP4" if spec.dtype == "mxfp4" else "BF16" for name, spec in specs.items()}
    checkpoint = Checkpoint(
        path=Path(), config=config, layout="hugging_face", experts="mxfp4", tensors={}, stored=stored, bytes=0
    )
    assert _bounds.weight_bytes(checkpoint) == pytest.approx(1.27e9 + 1.28e9 + 1.16e9, rel=0.01)
    # Half of attention and unembedding, and a scale of 4 bytes for each 256 columns.
    fast = 1.27e9 + (0.64e9 + 0.58e9) * (1 + 4 / 256)
    assert _bounds.weight_bytes(checkpoint, precision=Precision.FAST) == pytest.approx(fast, rel=0.01)
    # Screened, the unembedding's copy.
    screened = 1.27e9 + 1.28e9 + 0.58e9 * (1 + 4 / 256)
    assert _bounds.weight_bytes(checkpoint, screened=True) == pytest.approx(screened, rel=0.01)


def test_sliding_layers_read_their_window_only():
    one = 2 * CONFIG.key_value_size * 4
    assert _bounds.cache_bytes(CONFIG, 10, CacheDtype.F32) == 20 * one
    assert _bounds.cache_bytes(CONFIG, 100, CacheDtype.F32) == (16 + 100) * one
    assert _bounds.cache_bytes(CONFIG, 0, CacheDtype.F32) == 0


def test_bandwidth_is_of_this_world(monkeypatch):
    monkeypatch.setattr(_bounds, "BUFFER_BYTES", 1 << 24)
    assert 1e8 < _bounds.read_bandwidth(2, passes=1) < 1e13


Parts = list[list[np.ndarray]]


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[Parts]:
    """What each pass is given to read, by thread; all of it takes a second."""
    noted: list[Parts] = []
    monkeypatch.setattr(_bounds, "_seconds", lambda pool, way, parts: noted.append(parts) or 1.0)
    return noted


def experts(checkpoint: Checkpoint) -> list[np.ndarray]:
    names = [name for name in checkpoint.tensors if name.endswith((".gate_up_proj", ".down_proj"))]
    return [_bounds._plain(checkpoint.tensors[name]) for name in names]


def test_bandwidth_of_weights_is_of_all_experts_where_they_are_few(tiny: Path, read: list[Parts]):
    checkpoint = open_checkpoint(tiny)
    found = _bounds.weights_bandwidth(checkpoint, 2, passes=1)
    stored = sum(tensor.nbytes for tensor in experts(checkpoint))
    assert 0.99 * stored < found <= stored
    assert all(sum(piece.nbytes for part in parts for piece in part) == found for parts in read)


def test_of_many_experts_an_equal_share_of_each_tensor_is_read_evenly_spaced(
    tiny: Path, read: list[Parts], monkeypatch: pytest.MonkeyPatch
):
    checkpoint = open_checkpoint(tiny)
    whole = experts(checkpoint)
    buffer = sum(tensor.nbytes for tensor in whole) // 4
    monkeypatch.setattr(_bounds, "BUFFER_BYTES", buffer)
    monkeypatch.setattr(_bounds, "STRETCH_BYTES", 512)
    assert 0.95 * buffer < _bounds.weights_bandwidth(checkpoint, 1, passes=1) <= buffer
    (pieces,) = read[0]
    for tensor in whole:
        own = [piece for piece in pieces if np.shares_memory(piece, tensor)]
        assert sum(piece.nbytes for piece in own) == pytest.approx(tensor.nbytes / 4, rel=0.05)
        assert all(512 - 8 <= piece.nbytes < 1024 for piece in own)
        begins = [piece.ctypes.data - tensor.ctypes.data for piece in own]
        assert np.diff([*begins, tensor.nbytes]) == pytest.approx(tensor.nbytes / len(own), abs=128)


def test_threads_share_the_words_evenly(tiny: Path, read: list[Parts], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(_bounds, "STRETCH_BYTES", 512)
    totals = {_bounds.weights_bandwidth(open_checkpoint(tiny), threads, passes=1) for threads in (1, 2, 3, 7)}
    assert len(totals) == 1
    for parts in read:
        sizes = [sum(map(len, part)) for part in parts]
        assert max(sizes) - min(sizes) <= 1
    # No word is read by two threads.
    begins = [sorted(piece.ctypes.data for part in parts for piece in part) for parts in read]
    assert all(len(set(each)) == len(each) for each in begins)


def test_experts_in_bfloat16_are_read_where_they_lie(tmp_path: Path, read: list[Parts]):
    random = np.random.default_rng(0)
    specs = expected_tensors(CONFIG, "bfloat16")
    tensors = {name: random.normal(size=spec.shape).astype(ml_dtypes.bfloat16) for name, spec in specs.items()}
    write(tmp_path / "dense", CONFIG, tensors)
    checkpoint = open_checkpoint(tmp_path / "dense")
    assert checkpoint.experts == "bfloat16"
    found = _bounds.weights_bandwidth(checkpoint, 2, passes=1)
    whole = experts(checkpoint)
    assert found == pytest.approx(sum(tensor.nbytes for tensor in whole), rel=0.01)
    pieces = [piece for part in read[0] for piece in part]
    assert all(any(np.may_share_memory(piece, tensor) for tensor in whole) for piece in pieces)


def test_a_ggufs_experts_lie_in_fresh_memory(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    file = tmp_path / "model.gguf"
    write(file, CONFIG, open_checkpoint(tiny).tensors, "gguf", tokenizer=VOCABULARY.to_tokenizer_json())
    monkeypatch.setattr(_bounds, "read_bandwidth", lambda threads, passes: 7.0 * threads)
    assert _bounds.weights_bandwidth(open_checkpoint(file), 2) == 14.0


def test_a_pass_reads_every_piece():
    seen: list[int] = []
    with ThreadPoolExecutor(2) as pool:
        parts = [[np.ones(1), np.ones(2)], [np.ones(4)]]
        seconds = _bounds._seconds(pool, lambda piece: seen.append(len(piece)), parts)
    assert sorted(seen) == [1, 2, 4]
    assert seconds > 0


def test_memory_of_this_process():
    block = np.ones(1 << 24, np.uint8)
    peak, beside = _bounds.peak_rss_bytes(), _bounds.anonymous_bytes()
    assert peak > block.nbytes
    if Path("/proc/self/status").exists():
        assert beside is not None
        assert block.nbytes < beside <= peak
