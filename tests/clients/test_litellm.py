"""The litellm package, in an environment of its own: it wants an older openai. `make test-clients` makes it."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.clients.page import Client
from tests.clients.serving import ANSWER, played

PYTHON = Path(__file__).parents[2] / "build" / "clients" / "litellm" / "bin" / "python"

CLIENT = Client(
    "litellm",
    "1.106.2",
    "python",
    """
from litellm import completion

asked = [{"role": "user", "content": "What is 37 * 48?"}]
completion("openai/nano", api_base="http://127.0.0.1:8000/v1", api_key="none", messages=asked)
completion("ollama_chat/nano", api_base="http://127.0.0.1:8000", messages=asked)
""",
)

pytestmark = pytest.mark.skipif(not PYTHON.exists(), reason="`make test-clients` installs litellm")

SCRIPT = """
import sys
from litellm import completion

model, url = sys.argv[1:]
asked = [{"role": "user", "content": "What is 2 + 2?"}]
options = {"model": model, "api_base": url, "api_key": "none", "messages": asked}
print(completion(**options).choices[0].message.content)
print("".join(part.choices[0].delta.content or "" for part in completion(**options, stream=True)))
"""


@pytest.mark.parametrize(("model", "path"), [("openai/tiny", "/v1"), ("ollama_chat/tiny", "")])
def test_answers(model: str, path: str):
    """Answers, whole and streamed, over OpenAI's API and over Ollama's"""
    with played(ANSWER) as server:
        done = subprocess.run(
            [str(PYTHON), "-c", SCRIPT, model, server.url + path],
            env=os.environ | {"LITELLM_LOCAL_MODEL_COST_MAP": "True"},
            capture_output=True,
            text=True,
            timeout=120,
        )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[-3:] == ["It is 4.", "It is 4.", ""]
