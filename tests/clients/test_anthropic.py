"""The anthropic package."""

from collections.abc import Iterator
from typing import Any

import pytest
from anthropic import Anthropic, BadRequestError

from tests.clients.page import Client
from tests.clients.serving import ADD, ANSWER, CALL, THINKING, played, real

CLIENT = Client(
    "anthropic",
    "2.14.0",
    "python",
    """
from anthropic import Anthropic

client = Anthropic(base_url="http://127.0.0.1:8000", api_key="none")
client.messages.create(model="nano", max_tokens=1000, messages=[{"role": "user", "content": "What is 37 * 48?"}])
""",
)

ASKED: Any = [{"role": "user", "content": "What is 2 + 2?"}]
TOOL: Any = {"name": "add", "input_schema": ADD}


@pytest.fixture(scope="module")
def nano() -> Iterator[Anthropic]:
    with real() as addresses, Anthropic(base_url=addresses[0], api_key="none") as anthropic:
        yield anthropic


def test_messages(nano: Anthropic):
    """Messages on the embedded model, whole and streamed, thinking shown when asked for"""
    asked: Any = [{"role": "user", "content": "What is 37 * 48?"}]
    whole = nano.messages.create(model="nano", max_tokens=1000, messages=asked)
    assert [(block.type, getattr(block, "text", "")) for block in whole.content] == [("text", "1776")]
    with nano.messages.stream(
        model="nano", max_tokens=2000, messages=asked, thinking={"type": "enabled", "budget_tokens": 1500}
    ) as stream:
        message = stream.until_done() or stream.get_final_message()
    assert [block.type for block in message.content] == ["thinking", "text"]
    assert nano.messages.count_tokens(model="nano", messages=asked).input_tokens == whole.usage.input_tokens + (
        whole.usage.cache_read_input_tokens or 0
    )


def test_models(nano: Anthropic):
    """The list of models, and one of them"""
    assert nano.models.list().data[0].display_name == "nano"
    assert nano.models.retrieve("nano").type == "model"


def test_a_tool_loop():
    """A tool loop, streamed, the reasoning kept although the client drops it"""
    with played(THINKING + CALL, ANSWER) as server, Anthropic(base_url=server.url, api_key="none") as client:
        with client.messages.stream(model="tiny", max_tokens=500, messages=ASKED, tools=[TOOL]) as stream:
            first = stream.get_final_message()
        (use,) = first.content
        assert use.type == "tool_use"
        assert use.input == {"a": 2, "b": 2}
        result: Any = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": use.id, "content": "4"}]}
        said: Any = [*ASKED, {"role": "assistant", "content": first.content}, result]
        second = client.messages.create(model="tiny", max_tokens=500, messages=said, tools=[TOOL])
        assert second.content[0].type == "text"
        assert second.content[0].text == "It is 4."
        assert "I add." in server.player.prompts[1]


def test_errors_are_the_packages_own():
    """Errors in Anthropic's shape"""
    with (
        played(ANSWER) as server,
        Anthropic(base_url=server.url, api_key="none", max_retries=0) as client,
        pytest.raises(BadRequestError, match="5000 more"),
    ):
        client.messages.create(model="tiny", max_tokens=5000, messages=ASKED)
