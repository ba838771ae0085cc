"""The openai-agents package: loops with tools over both of OpenAI's APIs."""

import asyncio

import pytest
from agents import (
    Agent,
    OpenAIChatCompletionsModel,
    OpenAIResponsesModel,
    Runner,
    function_tool,
    set_tracing_disabled,
)
from openai import AsyncOpenAI

from tests.clients.page import Client
from tests.clients.serving import ANSWER, CALL, THINKING, played

CLIENT = Client(
    "openai-agents",
    "0.24.0",
    "python",
    """
from agents import Agent, OpenAIResponsesModel, Runner, set_tracing_disabled
from openai import AsyncOpenAI

set_tracing_disabled(True)
client = AsyncOpenAI(base_url="http://127.0.0.1:8000/v1", api_key="none")
agent = Agent(name="Helper", model=OpenAIResponsesModel("nano", openai_client=client))
print(Runner.run_sync(agent, "What is 37 * 48?").final_output)
""",
)

pytestmark = pytest.mark.filterwarnings("ignore")

MODELS = {"responses": OpenAIResponsesModel, "chat": OpenAIChatCompletionsModel}


@pytest.mark.parametrize("api", MODELS)
@pytest.mark.parametrize("streamed", [False, True])
def test_a_loop_with_a_tool(api: str, streamed: bool):
    """A loop with a tool, over Responses and over Chat Completions, streamed and not"""
    set_tracing_disabled(True)
    sums: list[tuple[int, int]] = []

    @function_tool
    def add(a: int, b: int) -> int:
        """Add two numbers."""
        sums.append((a, b))
        return a + b

    async def ask(url: str) -> str:
        async with AsyncOpenAI(base_url=url, api_key="none") as openai:
            agent = Agent(
                name="Helper", instructions="Add.", tools=[add], model=MODELS[api]("tiny", openai_client=openai)
            )
            if not streamed:
                return (await Runner.run(agent, "What is 2 + 2?")).final_output
            result = Runner.run_streamed(agent, "What is 2 + 2?")
            async for _ in result.stream_events():
                pass
            return result.final_output

    with played(THINKING + CALL, ANSWER) as server:
        assert asyncio.run(ask(server.v1)) == "It is 4."
        assert sums == [(2, 2)]
        assert "I add." in server.player.prompts[1], "the reasoning behind the call is still there"
