"""The `llm` command line."""

import os
import subprocess
import sys
from pathlib import Path

from tests.clients.page import Client
from tests.clients.serving import ANSWER, played

CLIENT = Client(
    "llm",
    "0.36",
    "yaml",
    """
# In `dirname "$(llm logs path)"`/extra-openai-models.yaml, then: llm -m nano "What is 37 * 48?"
- model_id: nano
  model_name: nano
  api_base: http://127.0.0.1:8000/v1
""",
)


def ask(folder: Path, url: str, *words: str) -> str:
    models = f"- model_id: tiny\n  model_name: tiny\n  api_base: {url}\n"
    (folder / "extra-openai-models.yaml").write_text(models)
    environment = os.environ | {"LLM_USER_PATH": str(folder), "OPENAI_API_KEY": "none"}
    command = [sys.executable, "-m", "llm", "-m", "tiny", *words]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=60).stdout


def test_a_prompt(tmp_path: Path):
    """A prompt, streamed, and the next turn of its conversation"""
    with played(ANSWER) as server:
        assert ask(tmp_path, server.v1, "What is 2 + 2?") == "It is 4.\n"
        assert ask(tmp_path, server.v1, "-c", "And again?") == "It is 4.\n"
        assert "What is 2 + 2?" in server.player.prompts[1]
