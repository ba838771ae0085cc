import dataclasses

import ml_dtypes
import numpy as np
import pytest

from ossia.checkpoint import Spec, active_parameters, expected_tensors, published_configs
from ossia.checkpoint.tensors import check_tensor
from ossia.config import ModelConfig
from ossia.errors import ConfigError, TensorError
from ossia.mxfp4 import Packed
from tests.checkpoint.models import SMALL


@pytest.mark.parametrize(
    ("size", "total", "active", "gib"),
    [("20b", 20_914_757_184, 3_608_307_264, "12.82"), ("120b", 116_829_156_672, 5_132_849_472, "60.77")],
)
def test_published_models_have_the_published_numbers(size: str, total: int, active: int, gib: str):
    config = ModelConfig.read(published_configs()[size])
    specs = expected_tensors(config).values()
    assert sum(spec.parameters for spec in specs) == total
    assert active_parameters(config) == active
    assert f"{sum(spec.bytes for spec in specs) / 2**30:.2f}" == gib


@pytest.mark.parametrize(("size", "tensors"), [("20b", 459), ("120b", 687)])
def test_published_files_have_the_published_count_of_tensors(size: str, tensors: int):
    specs = expected_tensors(ModelConfig.read(published_configs()[size]))
    assert sum(2 if spec.dtype == "mxfp4" else 1 for spec in specs.values()) == tensors


def test_names_and_shapes_are_those_of_transformers():
    """The judge: a transformers model of the same config, whose experts are dense and in-by-out."""
    pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    judge = transformers.GptOssForCausalLM(transformers.GptOssConfig.from_dict(SMALL.to_dict()))
    shapes = {name: tuple(value.shape) for name, value in judge.state_dict().items()}
    ours = {name: spec.shape for name, spec in expected_tensors(SMALL, "bfloat16").items()}
    turned = {name: (s[0], s[2], s[1]) if len(s) == 3 else s for name, s in ours.items()}
    assert turned == shapes


def test_mxfp4_needs_whole_blocks():
    config = dataclasses.replace(SMALL, hidden_size=48)
    with pytest.raises(ConfigError, match="hidden_size is 48; MXFP4 experts need a multiple of 32"):
        expected_tensors(config)
    assert expected_tensors(config, "bfloat16")


def test_float32_stands_for_bfloat16_and_nothing_for_mxfp4():
    spec = Spec((2, 64), "bfloat16")
    check_tensor("good", np.zeros((2, 64), np.float32), spec)
    check_tensor("good", np.zeros((2, 64), ml_dtypes.bfloat16), spec)
    with pytest.raises(TensorError, match=r"bad is float16 \[2, 64\]; bfloat16 or float32 \[2, 64\] is right"):
        check_tensor("bad", np.zeros((2, 64), np.float16), spec)
    with pytest.raises(TensorError, match=r"bad is float32 \[64, 2\]"):
        check_tensor("bad", np.zeros((64, 2), np.float32), spec)
    packed = Packed(np.zeros((2, 2, 16), np.uint8), np.zeros((2, 2), np.uint8))
    check_tensor("good", packed, Spec((2, 64), "mxfp4"))
    with pytest.raises(TensorError, match="bad is mxfp4"):
        check_tensor("bad", packed, spec)
    with pytest.raises(TensorError, match=r"mxfp4 \[2, 64\] is right"):
        check_tensor("bad", np.zeros((2, 64), np.float32), Spec((2, 64), "mxfp4"))
