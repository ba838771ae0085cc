"""Codex, OpenAI's coding agent, run headless. `make test-clients` installs it."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.clients.page import Client
from tests.clients.serving import THINKING, played, real

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "build" / "clients"
CODEX = FOLDER / "node_modules" / ".bin" / "codex"

CLIENT = Client(
    "Codex CLI",
    "0.169.0",
    "toml",
    """
# ~/.codex/config.toml, then: codex -m gpt-oss:20b
model_provider = "ossia"

[model_providers.ossia]
name = "Ossia"
base_url = "http://127.0.0.1:8000/v1"
wire_api = "responses"

# Or without a configuration, after `ossia serve gpt-oss:20b --ollama`:
#   codex --oss --local-provider ollama -m gpt-oss:20b
""",
)

pytestmark = pytest.mark.skipif(not CODEX.exists(), reason="`make test-clients` installs Codex")

ANSWER = "<|channel|>final<|message|>Done.<|return|>"
SHELL = (
    "<|channel|>commentary to=functions.exec_command <|constrain|>json<|message|>"
    '{"cmd": "echo written-by-codex"}<|call|>'
)


def codex(*words: str, url: str | None = None) -> list[dict[str, Any]]:
    """The events of a turn. Its own folder lies in the tree: Codex refuses helpers in one for temporary files."""
    home, work = FOLDER / "home", FOLDER / "work"
    shutil.rmtree(home, ignore_errors=True)
    for folder in (home, work):
        folder.mkdir(parents=True, exist_ok=True)
    provider = [] if url is None else [
        "-c", "model_provider=ossia", "-c", "model_providers.ossia.name=Ossia",
        "-c", f"model_providers.ossia.base_url={url}", "-c", "model_providers.ossia.wire_api=responses",
    ]  # fmt: skip
    command = [str(CODEX), "exec", "--skip-git-repo-check", "--json", "-C", str(work), *provider, *words]
    done = subprocess.run(
        command,
        env=os.environ | {"CODEX_HOME": str(home)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def items(events: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [event["item"] for event in events if event["type"] == "item.completed" and event["item"]["type"] == kind]


def test_a_turn_with_a_tool_call():
    """A turn of `codex exec` in which it runs a command, the reasoning kept from one request to the next"""
    with played(THINKING + SHELL, ANSWER) as server:
        server.player.context = 200_000
        events = codex("-s", "danger-full-access", "-m", "tiny", "Write it.", url=server.v1)
        (run,) = items(events, "command_execution")
        assert run["aggregated_output"] == "written-by-codex\n"
        assert [item["text"] for item in items(events, "agent_message")] == ["Done."]
        assert events[-1]["type"] == "turn.completed"
        assert "I add." in server.player.prompts[1]


def test_an_answer_that_follows_a_schema(tmp_path: Path):
    """`--output-schema`: even a toy's answer is valid, since the schema is held while it is written"""
    schema = {
        "type": "object",
        "properties": {"ok": {"type": "boolean"}},
        "required": ["ok"],
        "additionalProperties": False,
    }
    (tmp_path / "schema.json").write_text(json.dumps(schema))
    with real() as addresses:
        words = ("--output-schema", str(tmp_path / "schema.json"), "-m", "nano", "Is it?")
        (message,) = items(codex(*words, url=f"{addresses[0]}/v1"), "agent_message")
    answer = json.loads(message["text"])
    assert set(answer) == {"ok"}
    assert isinstance(answer["ok"], bool)


def test_as_a_local_model_of_ollama():
    """`--oss`: Codex finds the model as it finds Ollama's"""
    with real("--ollama-port", "11434") as addresses:
        assert addresses[-1].endswith(":11434")
        events = codex("--oss", "--local-provider", "ollama", "-m", "nano", "What is 37 * 48?")
    assert items(events, "agent_message")
    assert events[-1]["type"] == "turn.completed"
