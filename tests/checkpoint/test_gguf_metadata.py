import dataclasses
import json
from typing import Any

import numpy as np
import pytest

from ossia.checkpoint import published_configs
from ossia.checkpoint.checkpoint import Vocabulary
from ossia.checkpoint.gguf import GgufTensor
from ossia.checkpoint.gguf_metadata import config_from, generation_from, metadata_of, vocabulary_from, vocabulary_of
from ossia.config import FULL, SLIDING, ModelConfig
from ossia.errors import CheckpointError, ConfigError, VocabularyError
from tests.checkpoint.models import SMALL, TOKENIZER


def tensors(vocabulary: int = 200) -> dict[str, GgufTensor]:
    return {"token_embd.weight": GgufTensor("BF16", (vocabulary, 64), np.zeros((vocabulary, 128), np.uint8))}


def metadata(architecture: str = "gpt-oss", **changes: Any) -> dict[str, Any]:
    layout = {"gpt-oss": "gguf", "gptoss": "ollama"}[architecture]
    found = metadata_of(SMALL, layout, "mxfp4", None, None, None)
    found |= {f"{architecture}.{key.replace('__', '.')}": value for key, value in changes.items()}
    return {key: value for key, value in found.items() if value is not None}


# What llama.cpp's converter writes for gpt-oss-20b: no betas, no truncation, no layer types. float32 as GGUF keeps it.
PUBLISHED = {
    "general.architecture": "gpt-oss",
    "gpt-oss.block_count": 24,
    "gpt-oss.context_length": 131072,
    "gpt-oss.embedding_length": 2880,
    "gpt-oss.feed_forward_length": 2880,
    "gpt-oss.expert_feed_forward_length": 2880,
    "gpt-oss.attention.head_count": 64,
    "gpt-oss.attention.head_count_kv": 8,
    "gpt-oss.attention.key_length": 64,
    "gpt-oss.attention.value_length": 64,
    "gpt-oss.attention.sliding_window": 128,
    "gpt-oss.attention.layer_norm_rms_epsilon": float(np.float32(1e-5)),
    "gpt-oss.expert_count": 32,
    "gpt-oss.expert_used_count": 4,
    "gpt-oss.rope.freq_base": 150000.0,
    "gpt-oss.rope.scaling.type": "yarn",
    "gpt-oss.rope.scaling.factor": 32.0,
    "gpt-oss.rope.scaling.original_context_length": 4096,
    "tokenizer.ggml.eos_token_id": 200002,
    "tokenizer.ggml.padding_token_id": 199999,
}


def test_the_config_of_20b_comes_out_of_what_llama_cpp_writes():
    assert config_from(PUBLISHED, "gpt-oss", tensors(201088)) == ModelConfig.read(published_configs()["20b"])


@pytest.mark.parametrize("architecture", ["gpt-oss", "gptoss"])
def test_what_is_written_is_read(architecture: str):
    assert config_from(metadata(architecture), architecture, tensors()) == dataclasses.replace(SMALL)


def test_what_gguf_has_no_keys_for_comes_back():
    odd = dataclasses.replace(
        SMALL,
        swiglu_limit=3.5,
        layer_types=(FULL, SLIDING),
        rope_scaling=dataclasses.replace(SMALL.rope_scaling, truncate=True, beta_fast=16.0),
    )
    assert config_from(metadata_of(odd, "gguf", "mxfp4", None, None, None), "gpt-oss", tensors()) == odd


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"colour": 1}, "unknown key gpt-oss.colour; known: attention.head_count"),
        ({"block_count": None}, "missing key gpt-oss.block_count; needed: attention.head_count"),
        ({"block_count": 1 << 40}, "num_hidden_layers"),
        ({"block_count": 0}, "num_hidden_layers is 0"),
        ({"block_count": "two"}, "num_hidden_layers is .two."),
        ({"attention__head_count": [6, 6]}, r"num_attention_heads is \[6, 6\]"),
        ({"attention__value_length": 17}, "gpt-oss.attention.value_length is 17; 16 is right beside the other keys"),
        ({"vocab_size": 199}, "gpt-oss.vocab_size is 199; 200 is right"),
        ({"rope__scaling__type": "linear"}, "gpt-oss.rope.scaling.type is 'linear'; 'yarn' is right"),
        ({"rope__scaling__yarn_ext_factor": 0.5}, "yarn_ext_factor is 0.5; 1.0 is right"),
        ({"rope__scaling__factor": float("nan")}, "rope_scaling.factor is NaN"),
    ],
)
def test_keys_are_checked(changes: dict[str, Any], message: str):
    with pytest.raises(ConfigError, match=message):
        config_from(metadata(**changes), "gpt-oss", tensors())


def test_without_an_embedding_the_vocabulary_has_no_size():
    with pytest.raises(CheckpointError, match=r"token_embd\.weight is missing"):
        config_from(metadata(), "gpt-oss", {})


def test_generation_is_carried_whole_or_made_of_the_ids():
    whole = {"eos_token_id": [4, 7], "temperature": 1.0}
    assert generation_from(metadata_of(SMALL, "gguf", "mxfp4", None, None, whole)) == whole
    assert generation_from(metadata()) == {"eos_token_id": 4, "pad_token_id": 3}
    assert generation_from({"tokenizer.ggml.eos_token_ids": [1, 2], "tokenizer.ggml.eos_token_id": 1}) == {
        "eos_token_id": [1, 2]
    }
    for broken in ("{", "[]", "[" * 100_000):
        with pytest.raises(CheckpointError, match=r"ossia\.generation"):
            generation_from({"ossia.generation": broken})


def test_a_vocabulary_is_made_of_a_tokenizer_and_filled_up():
    assert vocabulary_of(TOKENIZER, 6) == Vocabulary(
        tokens=("a", "b", "ab", "[PAD3]", "<|return|>", "[PAD5]"), types=(1, 1, 1, 5, 3, 5), merges=("a b",)
    )


def test_merges_may_be_spelt_as_text():
    data = json.loads(TOKENIZER)
    data["model"]["merges"] = ["a b"]
    assert vocabulary_of(json.dumps(data).encode(), 5).merges == ("a b",)


@pytest.mark.parametrize("broken", [b"{", b"[]", b"\xff", b"{}", b'{"model": {"vocab": {}}}', b"[" * 100_000])
def test_a_tokenizer_that_is_none_is_refused(broken: bytes):
    with pytest.raises(VocabularyError, match=r"tokenizer\.json"):
        vocabulary_of(broken, 10)


def test_a_tokenizer_larger_than_the_model_is_refused():
    with pytest.raises(VocabularyError, match="has token id 4; less than vocab_size, 4, is right"):
        vocabulary_of(TOKENIZER, 4)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tokenizer.ggml.tokens": 5}, "tokens is no array of str"),
        ({"tokenizer.ggml.tokens": ["a", 1]}, "tokens is no array of str"),
        ({"tokenizer.ggml.tokens": ["a"], "tokenizer.ggml.token_type": [1, 1]}, "has 2 entries; 1, one a token"),
        ({"tokenizer.ggml.tokens": ["a"], "tokenizer.ggml.merges": [1]}, "merges is no array of str"),
    ],
)
def test_a_vocabulary_whose_parts_disagree_is_refused(changes: dict[str, Any], message: str):
    with pytest.raises(VocabularyError, match=message):
        vocabulary_from(changes)
    assert vocabulary_from({}) is None


def test_arrays_of_numbers_come_as_views_of_the_file():
    types = memoryview(bytes([1, 0, 0, 0, 3, 0, 0, 0])).cast("i")
    found = vocabulary_from({"tokenizer.ggml.tokens": ["a", "b"], "tokenizer.ggml.token_type": types})
    assert found is not None
    assert found.types == (1, 3)
    assert generation_from({"tokenizer.ggml.eos_token_ids": types}) == {"eos_token_id": [1, 3]}
    with pytest.raises(CheckpointError, match="eos_token_ids has 4096 ids; at most 1024"):
        generation_from({"tokenizer.ggml.eos_token_ids": memoryview(bytes(4096))})
