"""The operator's and the caller's settings: what cannot be right is refused, by name."""

import math
import pickle
from dataclasses import FrozenInstanceError
from typing import cast

import pytest

from ossia.engine import EngineConfig, SamplingParams
from ossia.errors import ConfigError, RequestError
from tests.engine.models import small_config


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("temperature", -0.1, "temperature is -0.1; a number from 0 to 100 is right"),
        ("temperature", math.nan, "temperature is nan; a number from 0 to 100"),
        ("temperature", 1e-9, r"temperature is 1e-09; 0, or from 1e-06 to 100, is right"),
        ("temperature", "hot", "temperature is 'hot'"),
        ("temperature", True, "temperature is True"),
        ("top_p", 0.0, "top_p is 0, which leaves no token"),
        ("top_p", 1.01, "top_p is 1.01; a number from 0 to 1"),
        ("min_p", -1, "min_p is -1"),
        ("top_k", -1, "top_k is -1; an integer from 0"),
        ("top_k", 2.5, "top_k is 2.5"),
        ("seed", 2**64, "seed is 18446744073709551616; an integer from 0 to 18446744073709551615 is right"),
        ("seed", -1, "seed is -1"),
        ("max_tokens", 0, "max_tokens is 0; an integer from 1"),
        ("logprobs", -1, "logprobs is -1"),
        ("logprobs", True, "logprobs is True"),
        ("stop_tokens", 5, "stop_tokens is 5; a list of token ids is right"),
        ("stop_tokens", (5, -1), "a token of stop_tokens is -1"),
        ("logit_bias", [1], "logit_bias is .*; a mapping of token ids to numbers"),
        ("logit_bias", {"a": 1.0}, "a token of logit_bias is 'a'"),
        ("logit_bias", {3: math.nan}, "logit_bias of token 3 is nan"),
        ("logit_bias", {3: math.inf}, "logit_bias of token 3 is inf"),
        ("logit_bias", {3: 1e39}, "logit_bias of token 3 is 1e[+]39"),
        ("frequency_penalty", math.inf, "frequency_penalty is inf"),
        ("presence_penalty", -101, "presence_penalty is -101; a number from -100 to 100 is right"),
    ],
)
def test_impossible_sampling_is_refused(key: str, value: object, message: str):
    with pytest.raises(RequestError, match=message):
        SamplingParams.from_dict({key: value})


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("context", 0, "context is 0; an integer of at least 1"),
        ("max_requests", 0, "max_requests is 0"),
        ("page_size", -4, "page_size is -4"),
        ("page_size", 16.0, "page_size is 16.0"),
        ("max_step_tokens", 15, "each of max_requests, 16, .* at least 16 is right"),
        ("max_waiting", -1, "max_waiting is -1; an integer of at least 0"),
        ("max_waiting_per_client", "many", "max_waiting_per_client is 'many'"),
        ("snapshots", -1, "snapshots is -1"),
        ("full_pages", 0, "full_pages is 0"),
        ("sliding_pages", "9", "sliding_pages is '9'"),
        ("cache_bytes", False, "cache_bytes is False"),
        ("boundary_tokens", "x", "boundary_tokens is 'x'"),
        ("stop_tokens", (1, None), "a token of stop_tokens is None"),
    ],
)
def test_impossible_settings_are_refused(key: str, value: object, message: str):
    with pytest.raises(ConfigError, match=message):
        EngineConfig.from_dict({key: value})


def test_a_name_that_is_none_is_refused_with_those_that_are():
    with pytest.raises(RequestError, match=r"unknown keys 'heat', 'topp'; known: .*temperature, top_k"):
        SamplingParams.from_dict({"topp": 1, "heat": 2, "seed": 3})
    with pytest.raises(ConfigError, match="unknown keys 'pages'; known: boundary_tokens, cache_bytes"):
        EngineConfig.from_dict({"pages": 9})
    with pytest.raises(RequestError, match="unknown keys 'a', 1; known"):
        SamplingParams.from_dict(cast(dict[str, int], {1: 2, "a": 1}))


def test_two_ways_to_say_how_many_pages_are_one_too_many():
    with pytest.raises(ConfigError, match="both cache_bytes and full_pages"):
        EngineConfig(cache_bytes=1 << 30, full_pages=100)


def test_settings_do_not_change():
    with pytest.raises(FrozenInstanceError):
        SamplingParams().temperature = 2.0  # type: ignore[misc]
    with pytest.raises(FrozenInstanceError):
        EngineConfig().context = 2  # type: ignore[misc]


def test_settings_keep_no_hold_on_what_they_were_made_from():
    bias, stops = {3: 1.0}, [4]
    params = SamplingParams.from_dict({"logit_bias": bias, "stop_tokens": stops})
    bias[3], stops[0] = 9.0, 9
    assert (params.logit_bias, params.stop_tokens) == ({3: 1.0}, (4,))


def test_settings_travel_to_another_process():
    params = SamplingParams(logit_bias={3: -math.inf}, stop_tokens=(1, 2), seed=5)
    config = EngineConfig(boundary_tokens=(1,), context=99)
    assert pickle.loads(pickle.dumps((params, config))) == (params, config)


def test_the_context_is_at_most_the_models():
    model = small_config()
    assert EngineConfig().context_of(model) == 256
    assert EngineConfig(context=100).context_of(model) == 100
    with pytest.raises(ConfigError, match="context is 257; the model was made for 256 tokens"):
        EngineConfig(context=257).context_of(model)
