"""How many pages there are: against the figures of the published 20b model, worked out by hand."""

from dataclasses import replace

import pytest

from ossia.config import FULL, SLIDING, ModelConfig
from ossia.engine import EngineConfig
from ossia.engine.memory import kinds, needed_bytes, page_bytes
from ossia.errors import CapacityError, ConfigError
from ossia.ops import CacheDtype
from tests.engine.models import small_config

MIB = 1 << 20


def model_20b() -> ModelConfig:
    return small_config(
        num_hidden_layers=24,
        layer_types=(SLIDING, FULL) * 12,
        num_key_value_heads=8,
        num_attention_heads=64,
        head_dim=64,
        sliding_window=128,
        max_position_embeddings=131_072,
    )


def pages(config: EngineConfig, model: ModelConfig, dtype: CacheDtype = CacheDtype.BF16) -> dict[str, int]:
    return {kind.name: kind.pages for kind in kinds(config, model, dtype)}


def test_bytes_of_a_token_and_of_a_window_at_20b():
    model = model_20b()
    assert page_bytes(model, FULL, 1, CacheDtype.BF16) == 24 * 1024
    assert page_bytes(model, SLIDING, 128, CacheDtype.BF16) == 3 * MIB
    assert page_bytes(model, SLIDING, 128, CacheDtype.F32) == 6 * MIB
    assert page_bytes(model, FULL, 1, CacheDtype.INT8) == 12 * 2 * 8 * (64 + 4)


def test_the_documented_example():
    found = pages(EngineConfig(context=4096, max_requests=1), model_20b())
    assert found == {FULL: 256, SLIDING: 9 + 33 + 32 * 9}
    assert found[FULL] * page_bytes(model_20b(), FULL, 16, CacheDtype.BF16) == 96 * MIB
    assert found[SLIDING] * page_bytes(model_20b(), SLIDING, 16, CacheDtype.BF16) // MIB == 123


@pytest.mark.parametrize(
    ("context", "requests", "tokens"),
    [(4096, 2, 8192), (4096, 64, 65_536), (131_072, 1, 131_072), (100_000, 9, 100_000)],
)
def test_full_layers_hold_every_context_up_to_a_limit_and_always_one(context: int, requests: int, tokens: int):
    assert pages(EngineConfig(context=context, max_requests=requests), model_20b())[FULL] == tokens // 16


def test_bytes_given_are_spent_on_full_layers():
    model, config = model_20b(), EngineConfig(context=4096, cache_bytes=1000 * MIB)
    found = pages(config, model)
    spent = sum(count * page_bytes(model, name, 16, CacheDtype.BF16) for name, count in found.items())
    assert 1000 * MIB - page_bytes(model, FULL, 16, CacheDtype.BF16) < spent <= 1000 * MIB


def test_bytes_too_few_for_one_context_are_refused_with_the_number():
    least = (9 + 33 + 32 * 9) * 16 * 24576 + 256 * 16 * 24576
    config = EngineConfig(context=4096, max_requests=1)
    with pytest.raises(CapacityError, match=f"cache_bytes is {least - 1}; .* need {least};"):
        pages(replace(config, cache_bytes=least - 1), model_20b())
    assert pages(replace(config, cache_bytes=least), model_20b())[FULL] == 256


def test_pages_too_few_for_one_request_are_refused_with_the_number():
    with pytest.raises(ConfigError, match=r"full_attention has 255 pages of 16 tokens; a context of 4096 .* least 256"):
        pages(EngineConfig(context=4096, full_pages=255), model_20b())
    with pytest.raises(ConfigError, match=r"sliding_attention has 8 pages of 16 tokens; a window of 128 .* least 9"):
        pages(EngineConfig(context=4096, sliding_pages=8), model_20b())


def test_a_model_of_one_kind_has_pages_of_one_kind():
    for name in (SLIDING, FULL):
        model = small_config(layer_types=(name,) * 4)
        assert list(pages(EngineConfig(), model)) == [name]


def test_a_window_takes_no_more_than_the_context():
    model = replace(model_20b(), sliding_window=131_072)
    found = pages(EngineConfig(context=4096, max_requests=1, snapshots=2), model)
    assert found == {FULL: 256, SLIDING: 3 * 256 + 33}


def test_bytes_needed_by_kind():
    found = needed_bytes(EngineConfig(context=4096, max_requests=1), model_20b(), CacheDtype.BF16)
    assert found[FULL] == 96 * MIB
    assert found[SLIDING] == 330 * page_bytes(model_20b(), SLIDING, 16, CacheDtype.BF16)


def test_8_bits_hold_32_tokens_where_bfloat16_holds_17():
    model, config = model_20b(), EngineConfig(context=4096, max_requests=1)
    bytes_of = [needed_bytes(config, model, dtype)[FULL] for dtype in (CacheDtype.BF16, CacheDtype.INT8)]
    assert bytes_of[0] * 17 == bytes_of[1] * 32
