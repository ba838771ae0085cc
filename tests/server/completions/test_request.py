"""What a client of Completions sends: every field of the openai package is known."""

from typing import get_type_hints

import msgspec
from openai.types import completion_create_params

from ossia.server.completions.request import CompletionRequest, prompts_of, wish_of
from tests.cli.tiny import VOCABULARY


def test_every_field_that_the_sdk_can_send_is_declared():
    known = {field.encode_name for field in msgspec.structs.fields(CompletionRequest)}
    assert set(get_type_hints(completion_create_params.CompletionCreateParamsStreaming)) <= known


def test_defaults():
    body = msgspec.convert({"model": "m", "prompt": "<|end|>a"}, CompletionRequest)
    wish = wish_of(body)
    assert (wish.sampling, wish.max_tokens, wish.n, wish.echo, wish.scores) == ({}, 16, 1, False, False)
    assert prompts_of(body, VOCABULARY, VOCABULARY.size) == [(VOCABULARY.end, *VOCABULARY.encode("a"))]
