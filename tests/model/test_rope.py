"""Rotary angles against transformers' YaRN and the published ramp."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from transformers import GptOssConfig
from transformers.models.gpt_oss.modeling_gpt_oss import GptOssRotaryEmbedding

from ossia.config import ModelConfig
from ossia.model import angles, inverse_frequencies

pytestmark = pytest.mark.torch


@pytest.fixture
def config() -> ModelConfig:
    return ModelConfig.from_dict(GptOssConfig(num_hidden_layers=2).to_dict() | {"architectures": ["GptOssForCausalLM"]})


@pytest.mark.parametrize("truncate", [False, True])
def test_frequencies_are_those_of_transformers(config: ModelConfig, truncate: bool) -> None:
    judge = GptOssConfig(num_hidden_layers=2)
    assert judge.rope_parameters is not None
    judge.rope_parameters["truncate"] = truncate
    config = dataclasses.replace(config, rope_scaling=dataclasses.replace(config.rope_scaling, truncate=truncate))
    expected = GptOssRotaryEmbedding(judge).inv_freq.numpy()
    # Each is a chain of a power, two products and a sum in float32 or better: within some units in the last place.
    np.testing.assert_allclose(inverse_frequencies(config), expected, rtol=8 * 2**-23)


def test_ramp_of_the_published_models(config: ModelConfig) -> None:
    """The ramp runs from pair 8.0928 to 17.3980: pairs up to 8 are untouched, from 18 on slowed by the factor."""
    plain = config.rope_theta ** (-np.arange(32) / 32)
    ratio = inverse_frequencies(config) / plain
    np.testing.assert_allclose(ratio[:9], 1, rtol=2**-22)
    np.testing.assert_allclose(ratio[18:], 1 / 32, rtol=2**-22)
    share = (9 - 8.0928) / (17.3980 - 8.0928)
    assert ratio[9] == pytest.approx(share / 32 + 1 - share, rel=1e-5)


def test_concentration(config: ModelConfig) -> None:
    cos, sin = angles(config, np.array([0, 5000]))
    assert cos[0] == pytest.approx(np.full(32, 1.346574), rel=1e-6)
    np.testing.assert_array_equal(sin[0], 0)
    np.testing.assert_allclose(cos**2 + sin**2, (0.1 * math.log(32) + 1) ** 2, rtol=4 * 2**-23)


@pytest.mark.parametrize("position", [1, 4095, 131_071])
def test_angle_is_a_float32_product(config: ModelConfig, position: int) -> None:
    cos, _ = angles(config, np.array([position]))
    turned = torch.tensor(float(position)) * torch.from_numpy(inverse_frequencies(config).copy())
    np.testing.assert_allclose(cos[0], turned.double().cos().numpy() * config.rope_scaling.concentration, rtol=2**-23)


def test_without_stretching(config: ModelConfig) -> None:
    plain = dataclasses.replace(config, rope_scaling=dataclasses.replace(config.rope_scaling, factor=1.0))
    np.testing.assert_allclose(inverse_frequencies(plain), 150_000 ** (-np.arange(32) / 32), rtol=2**-23)
    assert angles(plain, np.array([0]))[0].max() == 1.0
