"""The compatibility test that OpenAI keeps beside gpt-oss, for a checkout of it with its packages installed.

git clone https://github.com/openai/gpt-oss && npm install --prefix gpt-oss/compatibility-test tsx
COMPATIBILITY_TEST=gpt-oss/compatibility-test pytest tests/clients/test_compatibility.py
"""

import json
import os
import shutil
import subprocess
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest

from ossia.engine import Output
from tests.cli.tiny import VOCABULARY
from tests.clients.serving import Played, played
from tests.server.playing import Player

FOLDER = os.environ.get("COMPATIBILITY_TEST")

pytestmark = pytest.mark.skipif(not FOLDER, reason="COMPATIBILITY_TEST names no checkout")

PROVIDER = """export const PROVIDERS = {
  ossia: { apiBaseUrl: "%s", apiKey: "none", apiType: %s, modelName: "tiny", providerDetails: {} },
};
"""
ANSWER = "<|channel|>final<|message|>Done.<|return|>"


def knowing(server: Played, cases: list[dict[str, str]]) -> None:
    """Let the server's model call what a case expects, and answer once it has the result."""

    def generate(wanted: Any) -> AsyncGenerator[Output, None]:
        prompt = VOCABULARY.decode(wanted.prompt)
        asked = prompt.rpartition("<|start|>user<|message|>")[2]
        text, _, after = asked.partition("<|end|>")
        case = next(case for case in cases if case["input"] == text)
        said = ANSWER if "to=assistant" in after else (
            "<|channel|>analysis<|message|>I call it.<|end|><|start|>assistant<|channel|>commentary "
            f"to=functions.{case['tool_name']} <|constrain|>json<|message|>{case['expected_arguments']}<|call|>"
        )  # fmt: skip
        return Player(VOCABULARY, said).generate(wanted)

    server.player.generate = generate  # type: ignore[method-assign]


@pytest.mark.parametrize(
    ("apis", "options"), [(["responses", "chat"], []), (["chat"], ["--streaming"])], ids=["whole", "streamed"]
)
def test_every_case_passes(apis: list[str], options: list[str], tmp_path: Path):
    """All of its cases: both APIs, and Chat Completions streamed (its own harness fails at streamed Responses)"""
    folder = tmp_path / "test"
    shutil.copytree(str(FOLDER), folder, symlinks=True)
    cases = [json.loads(line) for line in (folder / "cases.jsonl").read_text().splitlines() if line.strip()]
    with played(ANSWER) as server:
        server.player.context = 100_000
        knowing(server, cases)
        (folder / "providers.ts").write_text(PROVIDER % (server.v1, json.dumps(apis)))
        command = ["npx", "tsx", "index.ts", "--provider", "ossia", "--strict", *options]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    (rollout,) = folder.glob("rollout_*.jsonl")
    records = [json.loads(line) for line in rollout.read_text().splitlines()]
    assert len(records) == len(cases) * len(apis)
    assert [record["input"] for record in records if not record["success"]] == []
