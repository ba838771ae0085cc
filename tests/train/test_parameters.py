import pytest
import torch

from ossia.checkpoint import expected_tensors
from ossia.train.parameters import initial_parameters, is_matrix
from tests.train.tiny import config

pytestmark = pytest.mark.torch


def test_names_and_shapes_are_those_of_a_checkpoint():
    shapes = {name: spec.shape for name, spec in expected_tensors(config()).items()}
    assert {name: tuple(value.shape) for name, value in initial_parameters(config(), 0).items()} == shapes


def test_the_seed_decides():
    first, again, other = (initial_parameters(config(), seed)["model.embed_tokens.weight"] for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_layers_begin_as_nothing():
    parameters = initial_parameters(config(), 0)
    for name in ("model.layers.1.self_attn.o_proj.weight", "model.layers.0.mlp.experts.down_proj"):
        assert not parameters[name].any()


def test_every_token_begins_nearest_to_itself():
    parameters = initial_parameters(config(), 0)
    scores = parameters["model.embed_tokens.weight"] @ parameters["lm_head.weight"].T
    assert torch.equal(scores.argmax(-1), torch.arange(len(scores)))


def test_muon_gets_the_matrices_of_attention_and_experts():
    names = {
        name.split("layers.1.")[1] for name in initial_parameters(config(), 0) if ".1." in name and is_matrix(name)
    }
    attention = {f"self_attn.{which}_proj.weight" for which in "qkvo"}
    assert names == attention | {"mlp.experts.gate_up_proj", "mlp.experts.down_proj"}
    assert not is_matrix("lm_head.weight")
    assert not is_matrix("model.embed_tokens.weight")
