"""What a decoding step must read, and how fast memory is."""

from pathlib import Path

import numpy as np
import pytest

from ossia.checkpoint import Checkpoint, expected_tensors, open_checkpoint, published_configs
from ossia.cli import _bounds
from ossia.config import ModelConfig
from ossia.ops import CacheDtype, Precision
from tests.cli.tiny import CONFIG


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


def test_bandwidth_of_weights_reads_them_up_to_a_buffer_whatever_their_kind(tiny: Path, monkeypatch):
    read: list[int] = []
    monkeypatch.setattr(_bounds, "_seconds", lambda pool, way, parts: read.append(sum(map(np.size, parts)) * 8) or 1.0)
    checkpoint = open_checkpoint(tiny)
    whole = _bounds.weights_bandwidth(checkpoint, 2, passes=1)
    assert set(read) == {whole}
    stored = sum(_bounds._plain(tensor).nbytes for tensor in checkpoint.tensors.values())
    assert 0.9 * stored < whole <= stored
    monkeypatch.setattr(_bounds, "BUFFER_BYTES", 4096)
    assert _bounds.weights_bandwidth(checkpoint, 2, passes=1) == 4096


def test_memory_of_this_process():
    block = np.ones(1 << 24, np.uint8)
    peak, beside = _bounds.peak_rss_bytes(), _bounds.anonymous_bytes()
    assert peak > block.nbytes
    if Path("/proc/self/status").exists():
        assert beside is not None
        assert block.nbytes < beside <= peak
