"""The litellm package. `make test-clients` installs it."""

import pytest

from tests.clients.page import Client
from tests.clients.serving import ANSWER, played

CLIENT = Client(
    "litellm",
    "1.106.2",
    "python",
    """
from litellm import completion

completion("openai/nano", api_base="http://127.0.0.1:8000/v1", api_key="none", messages=[...])
completion("ollama_chat/nano", api_base="http://127.0.0.1:8000", messages=[...])
""",
)

pytestmark = pytest.mark.filterwarnings("ignore")

ASKED = [{"role": "user", "content": "What is 2 + 2?"}]


@pytest.mark.parametrize(("model", "path"), [("openai/tiny", "/v1"), ("ollama_chat/tiny", "")])
def test_answers(model: str, path: str):
    """Answers, whole and streamed, over OpenAI's API and over Ollama's"""
    litellm = pytest.importorskip("litellm", reason="`make test-clients` installs litellm")
    with played(ANSWER) as server:
        options = {"model": model, "api_base": server.url + path, "api_key": "none", "messages": ASKED}
        assert litellm.completion(**options).choices[0].message.content == "It is 4."
        parts = [part.choices[0].delta.content or "" for part in litellm.completion(**options, stream=True)]
        assert "".join(parts) == "It is 4."
