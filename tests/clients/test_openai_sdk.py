"""The openai package: its own readers of whole answers and streams, sync and async."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from openai import AsyncOpenAI, BadRequestError, NotFoundError, OpenAI
from pydantic import BaseModel

from tests.clients.page import Client
from tests.clients.serving import ADD, ANSWER, CALL, PREAMBLE, THINKING, Played, played, real

CLIENT = Client(
    "openai",
    "3.54.0",
    "python",
    """
from openai import OpenAI

client = OpenAI(base_url="http://127.0.0.1:8000/v1", api_key="none")
client.chat.completions.create(model="nano", messages=[{"role": "user", "content": "What is 37 * 48?"}])
client.responses.create(model="nano", input="What is 37 * 48?")
""",
)

TOOL: Any = {"type": "function", "function": {"name": "add", "strict": True, "parameters": ADD}}
FLAT: Any = {"type": "function", "name": "add", "strict": True, "parameters": ADD}
ASKED: Any = [{"role": "user", "content": "What is 2 + 2?"}]


class Sum(BaseModel):
    """What an answer is parsed into."""

    n: int


def client(server: Played) -> OpenAI:
    return OpenAI(base_url=server.v1, api_key="none", max_retries=0)


@pytest.fixture(scope="module")
def nano() -> Iterator[OpenAI]:
    with real() as addresses, OpenAI(base_url=f"{addresses[0]}/v1", api_key="none") as openai:
        yield openai


def test_chat_on_the_embedded_model(nano: OpenAI):
    """Chat Completions on the embedded model, whole and streamed"""
    asked: Any = [{"role": "user", "content": "What is 37 * 48?"}]
    whole = nano.chat.completions.create(model="nano", messages=asked)
    assert whole.choices[0].message.content == "1776"
    with nano.chat.completions.stream(model="nano", messages=asked) as stream:
        kinds = {event.type for event in stream}
        assert stream.get_final_completion().choices[0].message.content == "1776"
    assert {"chunk", "content.delta", "content.done"} <= kinds


def test_responses_on_the_embedded_model(nano: OpenAI):
    """Responses on the embedded model, whole and streamed"""
    whole = nano.responses.create(model="nano", input="What is 37 * 48?", store=False)
    assert (whole.output_text, whole.status) == ("1776", "completed")
    assert [item.type for item in whole.output] == ["reasoning", "message"]
    with nano.responses.stream(model="nano", input="What is 37 * 48?", store=False) as stream:
        numbers = [event.sequence_number for event in stream]
        assert stream.get_final_response().output_text == "1776"
    assert numbers == list(range(len(numbers)))


def test_models(nano: OpenAI):
    """The list of models, and one of them"""
    assert nano.models.list().data[0].id == "nano"
    assert nano.models.retrieve("nano").owned_by == "ossia"
    with pytest.raises(NotFoundError, match="nano"):
        nano.chat.completions.create(model="gpt-9", messages=ASKED)


def test_raw_completions(nano: OpenAI):
    """Completions with raw Harmony, and the log-probabilities of a prompt"""
    prompt = "<|start|>user<|message|>What is 2 + 2?<|end|><|start|>assistant"
    text = nano.completions.create(model="nano", prompt=prompt, max_tokens=400, temperature=0).choices[0].text
    assert text.endswith("<|return|>")
    scored = nano.completions.create(model="nano", prompt=prompt, max_tokens=1, echo=True, logprobs=1).choices[0]
    assert scored.logprobs is not None
    assert scored.logprobs.token_logprobs is not None
    first, *others = scored.logprobs.token_logprobs
    assert first is None
    assert all(value <= 0 for value in others)


def test_an_answer_parsed_into_a_class():
    """Structured outputs: `parse` of chat and of responses"""
    with played('<|channel|>final<|message|>{"n": 4}<|return|>') as server, client(server) as openai:
        parsed = openai.chat.completions.parse(model="tiny", messages=ASKED, response_format=Sum)
        assert parsed.choices[0].message.parsed == Sum(n=4)
        response = openai.responses.parse(model="tiny", input="2 + 2?", text_format=Sum, store=False)
        assert response.output_parsed == Sum(n=4)


def test_a_tool_loop_of_chat():
    """A tool loop of chat: streamed calls by index and id, the reasoning kept although the client drops it"""
    with played(PREAMBLE + THINKING + CALL, ANSWER) as server, client(server) as openai:
        with openai.chat.completions.stream(model="tiny", messages=ASKED, tools=[TOOL]) as stream:
            message = stream.until_done().get_final_completion().choices[0].message
        assert message.content == "One moment."
        assert message.tool_calls is not None
        (call,) = message.tool_calls
        said = [*ASKED, message, {"role": "tool", "tool_call_id": call.id, "content": "4"}]
        whole = openai.chat.completions.create(model="tiny", messages=said, tools=[TOOL])
        assert whole.choices[0].message.content == "It is 4."
        assert "I add." in server.player.prompts[1]


def test_a_tool_loop_of_responses():
    """A tool loop of responses, by items and by `previous_response_id`"""
    with played(THINKING + CALL, ANSWER) as server, client(server) as openai:
        first = openai.responses.create(model="tiny", input="2 + 2?", tools=[FLAT])
        (call,) = [item for item in first.output if item.type == "function_call"]
        result: Any = {"type": "function_call_output", "call_id": call.call_id, "output": "4"}
        second = openai.responses.create(model="tiny", input=[result], previous_response_id=first.id, tools=[FLAT])
        assert second.output_text == "It is 4."
        assert "I add." in server.player.prompts[1]
        items: Any = [*ASKED, *first.output, result]
        again = openai.responses.create(model="tiny", input=items, tools=[FLAT], store=False)
        assert again.output_text == "It is 4."
        assert openai.responses.retrieve(first.id).id == first.id


def test_everything_at_once_asynchronously():
    """The asynchronous client, sixteen requests at once"""
    with played(ANSWER) as server:

        async def ask(openai: AsyncOpenAI) -> str:
            parts = []
            stream = await openai.chat.completions.create(model="tiny", messages=ASKED, stream=True)
            async for chunk in stream:
                parts += [choice.delta.content or "" for choice in chunk.choices]
            return "".join(parts)

        async def all_of_them() -> list[str]:
            async with AsyncOpenAI(base_url=server.v1, api_key="none") as openai:
                return await asyncio.gather(*(ask(openai) for _ in range(16)))

        assert asyncio.run(all_of_them()) == ["It is 4."] * 16


def test_errors_are_the_packages_own():
    """Errors with the field at fault"""
    with played(ANSWER) as server, client(server) as openai, pytest.raises(BadRequestError) as refused:
        openai.chat.completions.create(model="tiny", messages=ASKED, temperature=-1)
    assert refused.value.param == "temperature"
