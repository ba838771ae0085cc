import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from ossia.checkpoint import published_configs
from ossia.config import FULL, SLIDING, ModelConfig, Yarn
from ossia.errors import ConfigError

PUBLISHED = {size: json.loads(published_configs()[size].read_text()) for size in ("20b", "120b")}
CONFIG = ModelConfig.from_dict(PUBLISHED["20b"])

# gpt-oss-20b's original/config.json.
ORIGINAL = {
    "num_hidden_layers": 24,
    "num_experts": 32,
    "experts_per_token": 4,
    "vocab_size": 201088,
    "hidden_size": 2880,
    "intermediate_size": 2880,
    "swiglu_limit": 7.0,
    "head_dim": 64,
    "num_attention_heads": 64,
    "num_key_value_heads": 8,
    "sliding_window": 128,
    "initial_context_length": 4096,
    "rope_theta": 150000,
    "rope_scaling_factor": 32.0,
    "rope_ntk_alpha": 1,
    "rope_ntk_beta": 32,
}


def changed(**changes: Any) -> dict[str, Any]:
    """20b's config with these keys changed; None takes one away."""
    return {key: value for key, value in (PUBLISHED["20b"] | changes).items() if value is not None}


def test_the_published_configs_are_read():
    assert CONFIG.num_hidden_layers == 24
    assert CONFIG.layer_types[:3] == (SLIDING, FULL, SLIDING)
    assert CONFIG.rope_scaling == Yarn(
        factor=32.0, beta_fast=32.0, beta_slow=1.0, original_max_position_embeddings=4096, truncate=False
    )
    assert CONFIG.rope_scaling.concentration == pytest.approx(1.346574, abs=1e-6)
    assert (CONFIG.query_size, CONFIG.key_value_size) == (4096, 512)
    assert (CONFIG.window(0), CONFIG.window(1)) == (128, None)
    assert CONFIG.eos_token_id == 200002
    large = ModelConfig.from_dict(PUBLISHED["120b"])
    assert (large.num_hidden_layers, large.num_local_experts) == (36, 128)


@pytest.mark.parametrize("size", PUBLISHED)
def test_what_is_written_is_what_was_published(size: str):
    written = ModelConfig.from_dict(PUBLISHED[size]).to_dict()
    assert {key: PUBLISHED[size][key] for key in written} == written


def test_the_original_form_says_the_same():
    read = ModelConfig.from_dict(ORIGINAL)
    assert dataclasses.replace(read, eos_token_id=200002, pad_token_id=199999) == CONFIG
    assert CONFIG.to_original_dict() == ORIGINAL


@pytest.mark.parametrize("size", PUBLISHED)
def test_what_transformers_saves_is_read(tmp_path: Path, size: str):
    """Every key of its own, `rope_parameters` in place of `rope_scaling`, and back through our form to the same."""
    transformers = pytest.importorskip("transformers")
    judge = transformers.GptOssConfig.from_dict(PUBLISHED[size])
    judge.save_pretrained(tmp_path)
    ours = ModelConfig.read(tmp_path)
    assert ours == ModelConfig.from_dict(PUBLISHED[size])
    again = transformers.GptOssConfig.from_dict(ours.to_dict())
    for key in ("rope_parameters", "layer_types", "swiglu_limit", "head_dim", "num_local_experts", "eos_token_id"):
        assert getattr(again, key) == getattr(judge, key)


def test_what_a_transformers_model_saves_is_read(tmp_path: Path):
    pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    small = changed(num_hidden_layers=1, layer_types=[FULL], hidden_size=8, intermediate_size=8, vocab_size=8)
    small |= {
        "num_local_experts": 2,
        "num_experts_per_tok": 1,
        "experts_per_token": 1,
        "eos_token_id": [5, 6],
        "pad_token_id": 0,
    }
    del small["quantization_config"]
    transformers.GptOssForCausalLM(transformers.GptOssConfig.from_dict(small)).save_pretrained(tmp_path)
    config = ModelConfig.read(tmp_path)
    assert (config.hidden_size, config.eos_token_id) == (8, 5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"colour": 1}, "unknown keys 'colour'; known: .*attention_bias.*vocab_size"),
        ({"swiglu_limit": None}, "missing keys 'swiglu_limit'; known: .*attention_bias"),
        ({"rope_scaling": None}, "missing keys 'rope_scaling'; known"),
        ({"hidden_size": 0}, "hidden_size is 0; an integer from 1 to 16777216 is right"),
        ({"hidden_size": -2880}, "hidden_size is -2880"),
        ({"hidden_size": 2880.0}, "hidden_size is 2880.0"),
        ({"eos_token_id": {}}, "eos_token_id is {}; null or a token id"),
        ({"hidden_size": True}, "hidden_size is true"),
        ({"hidden_size": "2880"}, 'hidden_size is "2880"'),
        ({"vocab_size": 10**30}, "vocab_size is 1000000"),
        ({"num_hidden_layers": 25}, "layer_types names 24 layers; num_hidden_layers, 25, is right"),
        ({"layer_types": ["full"] * 24}, 'layer_types has "full"'),
        ({"layer_types": "full"}, 'layer_types is "full"; a list'),
        ({"layer_types": [[]] * 24}, r"layer_types has \[\]"),
        ({"num_key_value_heads": 7}, "num_attention_heads is 64; a multiple of num_key_value_heads, 7"),
        ({"num_experts_per_tok": 33, "experts_per_token": 33}, "at most num_local_experts, 32, is right"),
        ({"experts_per_token": 5}, "experts_per_token is 5 but num_experts_per_tok is 4; they are one"),
        ({"sliding_window": 1 << 24}, "sliding_window is 16777216; at most max_position_embeddings, 131072, is right"),
        ({"sliding_window": 131_073}, "sliding_window is 131073; at most max_position_embeddings, 131072, is right"),
        ({"rope_theta": float("nan")}, "rope_theta is NaN; a positive number is right"),
        ({"head_dim": 63}, "head_dim is 63; an even number is right"),
        ({"rms_norm_eps": 0}, "rms_norm_eps is 0; a positive number is right"),
        ({"rms_norm_eps": float("nan")}, "rms_norm_eps is NaN"),
        ({"rms_norm_eps": 1.0}, "rms_norm_eps is 1.0; less than 1, such as 1e-5, is right"),
        ({"swiglu_limit": float("inf")}, "swiglu_limit is Infinity"),
        ({"eos_token_id": -1}, "eos_token_id is -1; null or a token id less than vocab_size, 201088, is right"),
        ({"eos_token_id": 10**12}, "eos_token_id is 1000000000000; null or a token id less than vocab_size"),
        ({"pad_token_id": 201088}, "pad_token_id is 201088; null or a token id less than vocab_size, 201088"),
        ({"pad_token_id": False}, "pad_token_id is false"),
        ({"eos_token_id": []}, r"eos_token_id is \[\]"),
        ({"attention_bias": False}, "attention_bias is false; the gpt-oss architecture has true"),
        ({"tie_word_embeddings": True}, "tie_word_embeddings is true"),
        ({"model_type": "llama"}, 'model_type is "llama"; the gpt-oss architecture has "gpt_oss"'),
        ({"swiglu_alpha": 1.0}, "swiglu_alpha is 1.0; the gpt-oss architecture has 1.702"),
        ({"rope_scaling": 5}, "rope_scaling is 5; an object is right"),
        ({"rope_parameters": 5}, "rope_parameters is 5; an object is right"),
    ],
)
def test_impossible_configs_are_refused_by_key(changes: dict[str, Any], message: str):
    with pytest.raises(ConfigError, match=message):
        ModelConfig.from_dict(changed(**changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"factor": 0}, "rope_scaling.factor is 0"),
        ({"factor": 0.5}, "rope_scaling.factor is 0.5; 1 or more is right"),
        ({"beta_fast": 1.0}, "rope_scaling.beta_fast is 1.0; more than beta_slow, 1.0, is right"),
        ({"beta_slow": 40}, "rope_scaling.beta_fast is 32.0; more than beta_slow, 40.0, is right"),
        ({"rope_theta": 10_000}, "rope_theta is 150000 but rope_scaling.rope_theta is 10000; they are one"),
        ({"rope_theta": float("nan")}, "rope_scaling.rope_theta is NaN; a positive number is right"),
        ({"factor": None}, "missing rope_scaling keys 'factor'"),
        ({"mscale": 1}, "unknown rope_scaling keys 'mscale'; known: .*beta_fast"),
        ({"rope_type": "linear"}, 'rope_type is "linear"; the gpt-oss architecture has .yarn.'),
        ({"truncate": 0}, "truncate is 0; true or false is right"),
        ({"original_max_position_embeddings": 4096.5}, "original_max_position_embeddings is 4096.5"),
        ({"partial_rotary_factor": 0.5}, "the whole head"),
    ],
)
def test_impossible_scalings_are_refused_by_key(changes: dict[str, Any], message: str):
    scaling = {key: value for key, value in (PUBLISHED["20b"]["rope_scaling"] | changes).items() if value is not None}
    with pytest.raises(ConfigError, match=message):
        ModelConfig.from_dict(changed(rope_scaling=scaling))


def test_theta_is_more_than_one():
    with pytest.raises(ConfigError, match="rope_theta is 1; more than 1 is right"):
        dataclasses.replace(CONFIG, rope_theta=1)


def test_a_second_theta_must_be_the_first():
    scaling = PUBLISHED["20b"]["rope_scaling"]
    agreed = changed(rope_scaling=None, rope_parameters=scaling | {"rope_theta": 150000.0})
    assert ModelConfig.from_dict(agreed) == CONFIG
    agreed["rope_parameters"]["rope_theta"] = 10_000.0
    with pytest.raises(
        ConfigError, match=r"rope_theta is 150000 but rope_parameters\.rope_theta is 10000\.0; they are"
    ):
        ModelConfig.from_dict(agreed)


@pytest.mark.parametrize(
    "change", [{"num_experts": None}, {"rope_ntk_beta": "32"}, {"extra": 1}, {"initial_context_length": 0}]
)
def test_the_original_form_is_checked_alike(change: dict[str, Any]):
    data = {key: value for key, value in (ORIGINAL | change).items() if value is not None}
    with pytest.raises(ConfigError):
        ModelConfig.from_dict(data)


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"null", b"\xff", b"[" * 100_000, b'{"a": ' + b"1" * 5000 + b"}"])
def test_files_that_are_no_config_are_refused_by_name(tmp_path: Path, text: bytes):
    (tmp_path / "config.json").write_bytes(text)
    with pytest.raises(ConfigError, match=r"config\.json: "):
        ModelConfig.read(tmp_path)


def test_a_file_that_is_not_there_is_named(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"none\.json: "):
        ModelConfig.read(tmp_path / "none.json")
