"""Opening a model: what the checkpoint brings, and how much the memory allows."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ossia import loading
from ossia.checkpoint import open_checkpoint, published_configs
from ossia.config import ModelConfig
from ossia.engine import SamplingParams
from ossia.errors import CapacityError, CheckpointError, TensorError, VocabularyError
from ossia.harmony import Effort, Vocabulary
from ossia.mxfp4 import Packed
from ossia.ops.native import NativeOps
from tests.cli.tiny import CONFIG, VOCABULARY, write_tiny


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def generation(tmp_path: Path) -> Callable[[dict[str, Any]], loading.Defaults]:
    """What is read from a generation_config.json."""
    folder = write_tiny(tmp_path / "tiny")

    def read(content: dict[str, Any]) -> loading.Defaults:
        (folder / "generation_config.json").write_text(json.dumps(content))
        return loading.defaults_of(open_checkpoint(folder))

    return read


def test_precision_by_size():
    small, large = CONFIG, ModelConfig.read(published_configs()["20b"])
    assert (loading.default_precision(small), loading.default_precision(large)) == ("exact", "fast")
    # The published count; see docs and `ossia show`.
    assert loading.parameters(large) == 20_914_757_184


def test_logits_in_parts_are_those_of_the_whole(path: Path):
    loaded = loading.load_weights(str(path), backend="reference")
    tokens = list(range(50))
    parts = list(loaded.logits(tokens, rows=7))
    assert [len(part) for part in parts] == [7] * 7 + [1]
    whole = next(loaded.logits(tokens, rows=50))
    assert np.abs(np.concatenate(parts) - whole).max() <= 1e-5 * np.abs(whole).max()


def test_a_tokenizer_that_cannot_be_read_is_named(tmp_path: Path):
    model = write_tiny(tmp_path / "tiny")
    (model / "tokenizer.json").write_text("[]")
    with pytest.raises(VocabularyError) as refused:
        loading.vocabulary_of(open_checkpoint(model))
    assert str(refused.value) == f"{model}/tokenizer.json: the file would be an object, found the list []"
    (original := tmp_path / "original").mkdir()
    for file in model.iterdir():
        file.rename((tmp_path if file.name == "tokenizer.json" else original) / file.name)
    with pytest.raises(VocabularyError) as refused:
        loading.vocabulary_of(open_checkpoint(original))
    assert str(refused.value).startswith(f"{tmp_path}/tokenizer.json: ")


def test_a_gguf_is_named_for_its_vocabulary(path: Path, tmp_path: Path):
    checkpoint = replace(open_checkpoint(path), path=tmp_path / "x.gguf", tokenizer=b"[]")
    checkpoint.path.touch()
    with pytest.raises(VocabularyError, match=r"x\.gguf: the file would be"):
        loading.vocabulary_of(checkpoint)


def test_without_a_tokenizer_it_is_the_published_one(tmp_path: Path):
    checkpoint = open_checkpoint(write_tiny(tmp_path / "tiny"))
    large = replace(CONFIG, vocab_size=Vocabulary.embedded().size)
    assert loading.vocabulary_of(replace(checkpoint, tokenizer=None, config=large)) is Vocabulary.embedded()


# What the checkpoint says about generating


def test_without_a_file(path: Path):
    defaults = loading.defaults_of(open_checkpoint(path))
    assert (defaults.params, defaults.effort, defaults.stop_tokens) == (SamplingParams(), Effort.MEDIUM, ())


def test_the_published_file(generation):
    published = {"bos_token_id": 1, "do_sample": True, "eos_token_id": [7, 9], "transformers_version": "4.55.0.dev0"}
    found = generation(published)
    assert (found.params, found.stop_tokens, found.ignored) == (SamplingParams(), (7, 9), {})


def test_sampling_effort_and_what_is_not_supported(generation):
    found = generation({"temperature": 0.6, "top_k": 20, "reasoning_effort": "high", "repetition_penalty": 1.1})
    assert (found.params.temperature, found.params.top_k, found.effort) == (0.6, 20, Effort.HIGH)
    assert found.ignored == {"repetition_penalty": 1.1}


def test_greedy(generation):
    assert generation({"do_sample": False, "temperature": 0.6, "eos_token_id": 3}).params.temperature == 0.0


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ({"temperature": -1}, "temperature is -1"),
        ({"eos_token_id": "x"}, "eos_token_id has 'x'; token ids from 0 to 1008 are right"),
        ({"eos_token_id": [7, 1009]}, "eos_token_id has 1009; token ids from 0 to 1008 are right"),
        ({"eos_token_id": -1}, "eos_token_id has -1; token ids from 0 to 1008 are right"),
        ({"reasoning_effort": "huge"}, "reasoning_effort is 'huge'; none, low, medium, high are right"),
    ],
)
def test_values_that_cannot_be_right_are_named(generation, content: dict[str, Any], complaint: str):
    with pytest.raises(CheckpointError, match=r"generation_config\.json: .*" + complaint):
        generation(content)


# How much context the memory allows


@pytest.mark.parametrize("free_gib", [2, 4, 8, 1000])
@pytest.mark.parametrize(
    ("backend", "dtype", "head"), [("reference", None, 64 * 4), ("reference", "int8", 64 * 4), ("native", "int8", 68)]
)
def test_the_context_is_bounded_by_memory(
    path: Path, monkeypatch, free_gib: int, backend: str, dtype: str | None, head: int
):
    large = ModelConfig.read(published_configs()["20b"])
    loaded = loading.load_weights(str(path), backend=backend, kv_cache_dtype=dtype)
    published = loading.Loaded(replace(loaded.checkpoint, config=large, bytes=1 << 30), loaded.ops, loaded.weights)
    monkeypatch.setattr(loading, "available_bytes", lambda: free_gib << 30)
    found = loading.affordable_context(published)
    per_token = 12 * 2 * 8 * head  # 12 full layers of keys and values, in numpy always in float32
    half = ((free_gib - 1) << 30) // 2
    assert found == min(131_072, half // per_token // 1024 * 1024)


def test_memory_of_a_container(monkeypatch, tmp_path: Path):
    for name, text in {"memory.max": "1000", "memory.current": "900", "memory.stat": "anon 500\nfile 400\n"}.items():
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(loading, "CONTROL_GROUP", tmp_path)
    assert loading.available_bytes() == 500
    (tmp_path / "memory.max").write_text("max\n")
    assert (loading.available_bytes() or 0) > 500


def test_an_engine_stops_where_the_vocabulary_and_the_checkpoint_say(path: Path):
    loaded = loading.load_weights(str(path), backend="reference")
    defaults = replace(loading.defaults_of(loaded.checkpoint), stop_tokens=(5,))
    config = loading.engine_config(loaded, VOCABULARY, defaults, context=64, max_requests=3)
    assert set(config.stop_tokens) == {5, VOCABULARY.return_, VOCABULARY.call}
    assert set(config.boundary_tokens) == {VOCABULARY.end, VOCABULARY.return_, VOCABULARY.call}
    assert (config.context, config.max_requests) == (64, 3)


@pytest.mark.parametrize(
    ("precision", "copied", "guesses"), [("exact", False, 8), ("fast", True, 8), ("turbo", True, 0)]
)
def test_what_a_precision_brings_with_it(path: Path, precision: str, copied: bool, guesses: int):
    """8-bit copies; and guesses only where a token gets the same bits in any company."""
    loaded = loading.load_weights(str(path), precision=precision)
    config = loading.engine_config(loaded, VOCABULARY, loading.defaults_of(loaded.checkpoint), 64)
    assert ((loaded.copies is not None), config.guesses) == (copied, guesses)
    assert loaded.settings()["precision"] == precision


@pytest.mark.parametrize("backend", ["reference", "native"])
@pytest.mark.parametrize("ahead", [True, False])
def test_what_is_wrong_with_a_tensor_names_the_file(path: Path, backend: str, ahead: bool):
    checkpoint = open_checkpoint(path)
    name = "model.layers.0.mlp.experts.down_proj"
    packed = checkpoint.tensors[name]
    assert isinstance(packed, Packed)
    scales = packed.scales.copy()
    scales[0, 0, 0] = 255
    damaged = replace(checkpoint, tensors={**checkpoint.tensors, name: Packed(packed.blocks, scales)})
    opening = loading.open_weights(damaged, backend=backend)
    with pytest.raises(TensorError) as caught:
        (opening.look_ahead() if ahead else opening).loaded()
    assert str(caught.value).startswith(f"{path}: {name}: the scale of block [0, 0, 0] is 255")


@pytest.mark.parametrize(("free", "asked"), [(1 << 40, [True]), (1, [False]), (None, [])])
def test_experts_are_read_ahead_where_the_memory_holds_them(path: Path, monkeypatch, free: int | None, asked: list):
    calls = []
    monkeypatch.setattr(NativeOps, "read_ahead", lambda ops, experts: calls.append(experts))
    monkeypatch.setattr(loading, "available_bytes", lambda: free)
    loaded = loading.load_weights(str(path))
    assert calls == asked
    short = asked == [False]
    assert len(loaded.news) == short
    assert not short or "0.0 GiB of memory that are free: experts are read from the disk" in loaded.news[0]


def test_a_cache_is_checked_before_it_is_made(monkeypatch: pytest.MonkeyPatch):
    loaded = loading.load_weights("nano", backend="reference")
    monkeypatch.setattr(loading, "available_bytes", lambda: 1 << 20)
    vocabulary, defaults = loading.vocabulary_of(loaded.checkpoint), loading.defaults_of(loaded.checkpoint)
    with pytest.raises(CapacityError, match=r"the cache of 64 requests of 100 tokens needs .*; 0.0 GiB are free; a sh"):
        loading.engine_config(loaded, vocabulary, defaults, 100, max_requests=64)
