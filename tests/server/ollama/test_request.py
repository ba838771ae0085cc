"""What a client of Ollama sends: every field of the package is known."""

import ollama._types as theirs
import pytest

from ossia.server.ollama.request import ChatRequest, GenerateRequest, Message


@pytest.mark.parametrize(
    ("their", "ours"),
    [
        (theirs.ChatRequest, ChatRequest),
        (theirs.GenerateRequest, GenerateRequest),
        (theirs.Message, Message),
    ],
)
def test_every_field_that_the_package_can_send_is_declared(their, ours):
    assert set(their.model_fields) <= set(ours.__struct_fields__)
