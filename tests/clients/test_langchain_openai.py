"""The langchain-openai package."""

import pytest
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from pydantic import BaseModel

from tests.clients.page import Client
from tests.clients.serving import ANSWER, CALL, THINKING, played

CLIENT = Client(
    "langchain-openai",
    "1.7.4",
    "python",
    """
from langchain_openai import ChatOpenAI

model = ChatOpenAI(model="nano", base_url="http://127.0.0.1:8000/v1", api_key="none")
model.invoke("What is 37 * 48?")
""",
)

pytestmark = pytest.mark.filterwarnings("ignore")


class Sum(BaseModel):
    """A sum."""

    n: int


@tool
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@pytest.mark.parametrize("responses", [False, True])
def test_answers(responses: bool):
    """Answers, whole and streamed, over Chat Completions and over Responses"""
    with played(ANSWER) as server:
        model = ChatOpenAI(model="tiny", base_url=server.v1, api_key="none", use_responses_api=responses)  # type: ignore[arg-type]
        assert model.invoke("What is 2 + 2?").text == "It is 4."
        assert "".join(part.text for part in model.stream("What is 2 + 2?")) == "It is 4."


def test_structured_output():
    """Structured output"""
    with played('<|channel|>final<|message|>{"n": 4}<|return|>') as server:
        model = ChatOpenAI(model="tiny", base_url=server.v1, api_key="none")  # type: ignore[arg-type]
        assert model.with_structured_output(Sum, method="json_schema").invoke("2 + 2?") == Sum(n=4)


def test_a_tool_loop():
    """A tool loop"""
    with played(THINKING + CALL, ANSWER) as server:
        model = ChatOpenAI(model="tiny", base_url=server.v1, api_key="none").bind_tools([add])  # type: ignore[arg-type]
        asked = HumanMessage("What is 2 + 2?")
        first = model.invoke([asked])
        (call,) = first.tool_calls
        assert (call["name"], call["args"]) == ("add", {"a": 2, "b": 2})
        second = model.invoke([asked, first, ToolMessage("4", tool_call_id=call["id"])])
        assert second.text == "It is 4."
        assert "I add." in server.player.prompts[1]
