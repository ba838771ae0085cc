import pytest

from ossia.checkpoint import Experts, expected_tensors, published_configs
from ossia.checkpoint.layouts import Layout, Place, experts_in, layout_of, places
from ossia.config import ModelConfig
from ossia.errors import CheckpointError
from tests.checkpoint.models import SMALL


def files_tensors(layout: Layout, experts: Experts = "mxfp4", config: ModelConfig = SMALL) -> dict[str, Place]:
    return {place.name: place for kept in places(config, layout, experts).values() for place in kept}


@pytest.mark.parametrize(("size", "count"), [("20b", 363), ("120b", 543)])
def test_the_original_layout_has_the_published_count_of_tensors(size: str, count: int):
    config = ModelConfig.read(published_configs()[size])
    assert len(files_tensors("original", config=config)) == count


def test_shapes_of_the_original_layout_are_those_of_20b():
    config = ModelConfig.read(published_configs()["20b"])
    shapes = {name: place.shape for name, place in files_tensors("original", config=config).items()}
    assert shapes["embedding.weight"] == shapes["unembedding.weight"] == (201088, 2880)
    assert shapes["block.23.attn.qkv.weight"] == (5120, 2880)
    assert shapes["block.0.attn.qkv.bias"] == (5120,)
    assert shapes["block.0.attn.out.weight"] == (2880, 4096)
    assert shapes["block.0.attn.sinks"] == (64,)
    assert shapes["block.0.mlp.gate.weight"] == (32, 2880)
    assert shapes["block.0.mlp.mlp1_weight.blocks"] == (32, 5760, 90, 16)
    assert shapes["block.0.mlp.mlp1_weight.scales"] == (32, 5760, 90)
    assert shapes["block.0.mlp.mlp2_weight.blocks"] == (32, 2880, 90, 16)
    assert shapes["block.0.mlp.mlp2_bias"] == (32, 2880)
    assert {"block.0.attn.norm.scale", "block.0.mlp.norm.scale", "norm.scale"} <= shapes.keys()


def test_q_k_and_v_lie_one_behind_another_in_qkv():
    table = places(SMALL, "original", "mxfp4")
    rows = [table[f"model.layers.1.self_attn.{one}_proj.weight"][0].row for one in "qkv"]
    assert rows == [0, 6 * 16, 8 * 16]
    assert table["model.layers.1.self_attn.k_proj.bias"][0].name == "block.1.attn.qkv.bias"
    assert table["model.layers.1.self_attn.v_proj.bias"][0].shape == (10 * 16,)


def test_dense_experts_are_in_by_out_in_hugging_face_and_nowhere_in_original():
    table = places(SMALL, "hugging_face", "bfloat16")
    place = table["model.layers.0.mlp.experts.gate_up_proj"][0]
    assert (place.part, place.shape) == ("transposed", (5, 64, 192))
    with pytest.raises(CheckpointError, match="no bfloat16 experts"):
        places(SMALL, "original", "bfloat16")


def test_layouts_and_experts_are_told_by_names():
    assert layout_of(files_tensors("hugging_face")) == "hugging_face"
    assert layout_of(files_tensors("original")) == "original"
    assert experts_in(files_tensors("original")) == experts_in(files_tensors("hugging_face")) == "mxfp4"
    assert experts_in(files_tensors("hugging_face", "bfloat16")) == "bfloat16"
    with pytest.raises(CheckpointError, match=r"transformer\.h\.0 are of no known layout"):
        layout_of(["transformer.h.0"])
    with pytest.raises(CheckpointError, match=r"\(none\)"):
        layout_of([])


def test_every_tensor_has_a_place_of_its_own():
    forms: list[tuple[Layout, Experts]] = [
        ("hugging_face", "mxfp4"),
        ("hugging_face", "bfloat16"),
        ("original", "mxfp4"),
    ]
    for layout, experts in forms:
        table = places(SMALL, layout, experts)
        assert list(table) == list(expected_tensors(SMALL, experts))
        taken = [(place.name, place.row) for kept in table.values() for place in kept]
        assert len(set(taken)) == len(taken)
