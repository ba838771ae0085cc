"""The ollama package."""

from collections.abc import Iterator

import pytest
from ollama import Client as Ollama
from ollama import ResponseError

from tests.clients.page import Client
from tests.clients.serving import ADD, ANSWER, CALL, THINKING, played, real

CLIENT = Client(
    "ollama",
    "0.6.3",
    "python",
    """
from ollama import Client

client = Client("http://127.0.0.1:8000")  # or OLLAMA_HOST, or `ossia serve --ollama`
client.chat("nano", [{"role": "user", "content": "What is 37 * 48?"}], think="high")
""",
)

ASKED = [{"role": "user", "content": "What is 2 + 2?"}]
TOOL = {"type": "function", "function": {"name": "add", "description": "Add.", "parameters": ADD}}


@pytest.fixture(scope="module")
def nano() -> Iterator[Ollama]:
    with real() as addresses, Ollama(addresses[-1]) as ollama:
        yield ollama


def test_chat_and_generate(nano: Ollama):
    """Chat and generate on the embedded model, whole and streamed, with its thinking"""
    asked = [{"role": "user", "content": "What is 37 * 48?"}]
    whole = nano.chat("nano", asked)
    assert (whole.message.content, whole.done_reason) == ("1776", "stop")
    assert whole.message.thinking
    parts = [part.message.content or "" for part in nano.chat("nano", asked, stream=True)]
    assert "".join(parts) == "1776"
    assert nano.generate("nano", "What is 37 * 48?").response == "1776"


def test_models(nano: Ollama):
    """The lists of models, what one is, and loading it"""
    assert nano.list().models[0].model == "nano"
    assert "tools" in (nano.show("nano").capabilities or [])
    nano.generate("nano", keep_alive=-1)
    assert [model.model for model in nano.ps().models] == ["nano"]


def test_what_is_not_here(nano: Ollama):
    """Embeddings, and models that are not here, are refused in words"""
    with pytest.raises(ResponseError, match="embeddings"):
        nano.embed("nano", "text")
    with pytest.raises(ResponseError, match="gpt-9"):
        nano.chat("gpt-9", ASKED)


def test_a_tool_loop():
    """A tool loop with the messages as the package keeps them"""
    with played(THINKING + CALL, ANSWER) as server, Ollama(server.url) as ollama:
        first = ollama.chat("tiny", ASKED, tools=[TOOL])
        assert first.message.tool_calls is not None
        (call,) = first.message.tool_calls
        assert (call.function.name, dict(call.function.arguments)) == ("add", {"a": 2, "b": 2})
        said = [*ASKED, first.message, {"role": "tool", "tool_name": "add", "content": "4"}]
        assert ollama.chat("tiny", said, tools=[TOOL]).message.content == "It is 4."
        assert "I add." in server.player.prompts[1]


def test_a_form_of_the_answer():
    """A JSON Schema as `format`"""
    with played('<|channel|>final<|message|>{"a": 1, "b": 2}<|return|>') as server, Ollama(server.url) as ollama:
        answer = ollama.chat("tiny", ASKED, format=ADD)
        assert answer.message.content == '{"a": 1, "b": 2}'
