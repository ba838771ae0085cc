"""What a client of Messages sends: every field of the package is known."""

from typing import get_type_hints

from anthropic.types import message_count_tokens_params, message_create_params
from anthropic.types.beta import message_create_params as beta

from ossia.server.messages.request import CountRequest, MessagesRequest


def test_every_field_that_the_sdk_can_send_is_declared():
    known = set(MessagesRequest.__struct_fields__)
    assert set(get_type_hints(message_create_params.MessageCreateParamsStreaming)) <= known
    assert set(get_type_hints(beta.MessageCreateParamsStreaming)) <= known
    assert set(get_type_hints(message_count_tokens_params.MessageCountTokensParams)) <= set(
        CountRequest.__struct_fields__
    )
