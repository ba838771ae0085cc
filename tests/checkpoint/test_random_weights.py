import dataclasses
import hashlib
import json
import subprocess
import sys
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

from ossia.checkpoint import expected_tensors, make_random, open_checkpoint, published_configs, random_weights
from ossia.checkpoint.random_weights import Dense, random_tensors
from ossia.checkpoint.streams import pieces
from ossia.config import ModelConfig
from ossia.errors import CapacityError
from ossia.model import hidden, prepare, unembed
from ossia.mxfp4 import Packed, decode
from ossia.ops import Batch, make_ops
from tests.checkpoint.models import SMALL

PUBLISHED = ModelConfig.read(published_configs()["20b"])

# 20b's experts and their number, in fewer and narrower layers.
NARROW = dataclasses.replace(
    PUBLISHED,
    num_hidden_layers=6,
    layer_types=PUBLISHED.layer_types[:6],
    hidden_size=384,
    intermediate_size=384,
    num_attention_heads=16,
    vocab_size=2048,
    eos_token_id=None,
    pad_token_id=None,
)


@pytest.fixture(scope="module", params=["gaussian", "q8"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("random") / request.param
    make_random(path, NARROW, seed=5, dense=request.param)
    return path


def tensors_of(config: ModelConfig, seed: int = 0) -> dict[str, str]:
    """A hash of every tensor as it is drawn."""
    found = {}
    for name, tensor in random_tensors(config, seed):
        digest = hashlib.sha256()
        for _, piece in pieces(tensor):
            digest.update(piece.blocks.tobytes() if isinstance(piece, Packed) else piece.tobytes())
        found[name] = digest.hexdigest()
    return found


def test_the_same_seed_gives_the_same_model_and_another_another():
    first, again, other = tensors_of(SMALL, 3), tensors_of(SMALL, 3), tensors_of(SMALL, 4)
    assert first == again
    assert not {*first.values()} & {*other.values()}
    assert len({*first.values()}) == len(first)


def test_what_was_drawn_is_recorded(model: Path):
    assert json.loads((model / "random.json").read_text()) == {"seed": 5, "dense": model.name}


def run(model: Path, sequences: list[list[int]]) -> tuple[np.ndarray, list[np.ndarray], np.ndarray]:
    """Logits, the chosen experts of every layer, and the hidden state."""
    checkpoint = open_checkpoint(model)
    ops = make_ops("reference", "exact", None)
    chosen: list[np.ndarray] = []
    route = ops.route

    def watched(*arguments):
        result = route(*arguments)
        chosen.append(np.asarray(result[0]))
        return result

    ops.route = watched  # type: ignore[method-assign]
    weights = prepare(ops, checkpoint.config, checkpoint.tensors)
    x = hidden(ops, checkpoint.config, weights, Batch.packed(sequences))
    return unembed(ops, checkpoint.config, weights, x), chosen, x


@pytest.fixture(scope="module", params=["apart", "one sequence"])
def computed(model: Path, request: pytest.FixtureRequest) -> tuple[np.ndarray, list[np.ndarray], np.ndarray]:
    tokens = np.random.default_rng(1).integers(0, NARROW.vocab_size, 64).tolist()
    return run(model, [[token] for token in tokens] if request.param == "apart" else [tokens])


def test_logits_have_standard_deviation_three(computed):
    logits = computed[0]
    assert 2.7 < logits.std() < 3.3
    # Each row too: 2,048 samples of a normal variable leave 1.6 % of error, so six times that is no accident.
    assert 2.7 < logits.std(axis=1).min() <= logits.std(axis=1).max() < 3.3


# Independent uniform choices of 4 of 32 would hit 32 (1 - (28/32)^n) experts.
@pytest.mark.parametrize(("tokens", "least"), [(1, 4), (4, 12.3), (16, 26.5)])
def test_tokens_choose_experts_almost_independently(computed, tokens: int, least: float):
    chosen = computed[1]
    uniform = 32 * (1 - (28 / 32) ** tokens)
    hit = np.mean([len(np.unique(layer[at : at + tokens])) for layer in chosen for at in range(0, 64, tokens)])
    assert least <= hit <= uniform * 1.02


def test_activations_neither_vanish_nor_explode(computed):
    x = computed[2]
    assert 1 < np.sqrt(np.square(x).mean()) < 3
    rows = x / np.linalg.norm(x, axis=1, keepdims=True)
    cosines = (rows @ rows.T)[~np.eye(len(rows), dtype=bool)]
    assert abs(cosines.mean()) < 0.1


def test_gaussian_values_are_none_that_eight_bits_hold():
    """Q8_0 changes most of them: its scale is the largest of 32 over 127, and bfloat16 has 8 bits for each."""
    gguf = pytest.importorskip("gguf")
    limits: list[tuple[Dense, float]] = [("gaussian", 0.2), ("q8", 1.0)]
    for dense, kept in limits:
        head = dict(random_tensors(SMALL, 0, dense))["lm_head.weight"]
        values = np.concatenate([np.asarray(piece) for _, piece in pieces(head)]).astype(np.float32)
        kind = gguf.GGMLQuantizationType.Q8_0
        back = gguf.quants.dequantize(gguf.quants.quantize(values, kind), kind)
        same = back.view(np.uint32) == values.view(np.uint32)  # of zeros, too, the sign
        assert same.mean() == 1 if kept == 1 else same.mean() < kept
        np.testing.assert_array_equal(values.astype(ml_dtypes.bfloat16).astype(np.float32), values)


@pytest.mark.parametrize("wanted", [1e-4, 0.003, 0.0186, 0.02, 0.5, 3.0])
def test_mxfp4_values_have_the_deviation_wanted(wanted: float):
    random = np.random.Generator(np.random.SFC64(1))
    values = decode(random_weights._mxfp4(random, (64, 4096), wanted))
    # The share of the larger exponent is a count of 32, at most 1/64 off: 3/64 of the square, 2.4 % of the root.
    assert np.sqrt(np.square(values, dtype=np.float64).mean()) == pytest.approx(wanted, rel=0.03)
    assert abs(values.mean()) < 0.01 * wanted


def test_scales_vary_and_are_numbers():
    for _, tensor in random_tensors(SMALL):
        for _, piece in pieces(tensor):
            if isinstance(piece, Packed):
                assert 3 <= len(np.unique(piece.scales)) <= 5
                assert piece.scales.max() < 255


def test_every_tensor_is_drawn_once():
    assert {name: tensor.shape for name, tensor in random_tensors(SMALL)} == {
        name: spec.shape for name, spec in expected_tensors(SMALL).items()
    }


def test_published_ids_are_written_where_they_fit(tmp_path: Path):
    make_random(tmp_path / "small", SMALL)
    assert open_checkpoint(tmp_path / "small").generation == {}
    layers = {"num_hidden_layers": 1, "layer_types": PUBLISHED.layer_types[:1]}
    sizes = {"hidden_size": 32, "intermediate_size": 32, "num_attention_heads": 8}
    make_random(tmp_path / "harmony", dataclasses.replace(PUBLISHED, **layers, **sizes))
    assert open_checkpoint(tmp_path / "harmony").generation["eos_token_id"] == [200002, 199999, 200012]


@pytest.mark.skipif(sys.platform != "linux", reason="reads the process's peak from /proc")
def test_memory_is_that_of_a_few_pieces(tmp_path: Path):
    """A tensor of 184 MB leaves less than that behind, the interpreter and numpy included."""
    layers = {"num_hidden_layers": 1, "layer_types": PUBLISHED.layer_types[:1], "num_local_experts": 4}
    config = dataclasses.replace(PUBLISHED, **layers, vocab_size=32_000, eos_token_id=None, pad_token_id=None)
    (tmp_path / "config.json").write_text(json.dumps(config.to_dict()))
    code = (
        "import sys; from pathlib import Path; from ossia.config import ModelConfig\n"
        "from ossia.checkpoint import make_random\n"
        "make_random(sys.argv[1] + '/model', ModelConfig.read(Path(sys.argv[1])))\n"
        "print(Path('/proc/self/status').read_text())"
    )
    result = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    peak = next(line for line in result.stdout.splitlines() if line.startswith("VmHWM:"))
    assert int(peak.split()[1]) < 150_000


def test_a_disk_too_small_is_told_first(tmp_path: Path):
    config = dataclasses.replace(PUBLISHED, num_local_experts=1 << 20)
    with pytest.raises(CapacityError, match=r"needs \d+\.\d\d GiB, the disk has"):
        make_random(tmp_path / "model", config)
    assert list(tmp_path.iterdir()) == []
