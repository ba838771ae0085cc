"""A file of requests: every line answered once, whatever interrupts the run."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from ossia.errors import OverloadedError, RequestError
from ossia.server import batch
from ossia.server.app import make_app
from ossia.server.batch import Line, Summary, answered, matched, read_lines, run_batch
from tests.cli.tiny import VOCABULARY
from tests.server.playing import Player
from tests.server.serving import service_for

ANSWER = "<|channel|>final<|message|>It is 4.<|return|>"
BODY = {"model": "tiny", "messages": [{"role": "user", "content": "2 + 2?"}]}


def lines(count: int, **body: Any) -> list[Line]:
    return [Line(f"r{number}", "/v1/chat/completions", BODY | body) for number in range(count)]


def run(output: Path, asked: list[Line], player: Player | None = None, at_once: int = 3) -> Summary:
    app = make_app(service_for(player or Player(VOCABULARY, ANSWER, endless=True)))
    return asyncio.run(run_batch(app, asked, output, at_once=at_once, progress=lambda done, total: None))


def results(output: Path) -> dict[str, Any]:
    found = [json.loads(line) for line in output.read_text().splitlines()]
    by_id = {result["custom_id"]: result for result in found}
    assert len(by_id) == len(found), "each once"
    return by_id


def test_every_request_has_its_result(tmp_path: Path):
    output = tmp_path / "out.jsonl"
    assert run(output, lines(7)) == Summary(0, 7, 0)
    found = results(output)
    assert set(found) == {f"r{number}" for number in range(7)}
    assert found["r0"]["response"]["body"]["choices"][0]["message"]["content"] == "It is 4."


def test_a_refused_request_is_a_result_too(tmp_path: Path):
    output = tmp_path / "out.jsonl"
    assert run(output, [*lines(1), Line("bad", "/v1/chat/completions", {"model": "tiny"})]) == Summary(0, 2, 1)
    response = results(output)["bad"]["response"]
    assert response["status_code"] == 400
    assert "messages" in response["body"]["error"]["message"]


def test_a_run_goes_on_where_it_was_cut_off(tmp_path: Path):
    output = tmp_path / "out.jsonl"
    run(output, lines(3))
    whole = output.read_bytes()
    output.write_bytes(whole + b'{"custom_id": "r3", "respo')
    player = Player(VOCABULARY, ANSWER, endless=True)
    assert run(output, lines(5), player) == Summary(3, 2, 0)
    assert len(player.wanted) == 2
    assert output.read_bytes().startswith(whole)
    assert set(results(output)) == {f"r{number}" for number in range(5)}
    assert run(output, lines(5), player) == Summary(5, 0, 0)


def test_a_request_that_was_changed_is_not_given_the_old_answer(tmp_path: Path):
    output = tmp_path / "out.jsonl"
    asked = lines(3)
    run(output, asked)
    reordered = Line("r1", asked[1].url, dict(reversed([*BODY.items()])))
    assert run(output, [asked[0], reordered, asked[2]]) == Summary(3, 0, 0)
    changed = Line("r1", asked[1].url, BODY | {"seed": 1})
    player = Player(VOCABULARY, ANSWER, endless=True)
    with pytest.raises(RequestError, match=r"the result of 'r1' in .*out\.jsonl is that of another request"):
        run(output, [asked[0], changed, asked[2], *lines(5)[3:]], player)
    with pytest.raises(RequestError):
        matched([changed], output)
    assert player.wanted == []
    plain = [json.loads(line) for line in output.read_text().splitlines()]
    output.write_text(
        "".join(json.dumps({k: v for k, v in each.items() if k != "request_sha256"}) + "\n" for each in plain)
    )
    assert run(output, [asked[0], changed, asked[2]]) == Summary(3, 0, 0), "from before there were hashes"


def test_no_more_than_may_run_at_once(tmp_path: Path):
    player = Player(VOCABULARY, ANSWER, endless=True)
    running = most = 0

    async def count() -> None:
        nonlocal most
        most = max(most, len(player.wanted) - len(player.left) - done())
        await asyncio.sleep(0)

    def done() -> int:
        return len(output.read_bytes().splitlines()) if output.exists() else 0

    output = tmp_path / "out.jsonl"
    player.before_step = count
    run(output, lines(9), player, at_once=2)
    assert 1 <= most <= 2
    assert running == 0


def test_what_passes_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(batch, "PAUSES", (0.0, 0.0))
    player = Player(VOCABULARY, ANSWER, endless=True)
    plain, tries = player.generate, 0

    def overloaded(wanted: Any) -> Any:
        nonlocal tries
        tries += 1
        if tries < 3:
            raise OverloadedError("too many wait", retry_after=1.0)
        return plain(wanted)

    player.generate = overloaded  # type: ignore[method-assign]
    assert run(tmp_path / "out.jsonl", lines(1), player) == Summary(0, 1, 0)
    assert tries == 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nonsense", "in:1: "),
        ('\n{"custom_id": "a"}', "in:2: "),
        ('{"custom_id": "a", "url": "/etc/passwd", "body": {}}', "cannot be asked here"),
        ('{"custom_id": "a", "url": "/v1/completions", "method": "GET", "body": {}}', "cannot be asked here"),
        ('{"custom_id": "a", "url": "/v1/completions", "body": {}}\n' * 2, "two requests have the custom_id 'a'"),
        ('{"custom_id": "a", "url": "/v1/completions", "body": {}, "mood": 1}', "mood"),
        ('{"custom_id": "a", "url": "/v1/completions", "body": {"stream": true}}', "stream is True"),
        ('{"custom_id": "a", "url": "/v1/responses", "body": {"background": true}}', "background is True"),
    ],
)
def test_a_line_that_is_no_request_is_named(tmp_path: Path, text: str, message: str):
    file = tmp_path / "in"
    file.write_text(text)
    with pytest.raises(RequestError, match=message):
        read_lines(file)


def test_what_was_this_machines_fault_is_asked_again(tmp_path: Path):
    output = tmp_path / "out.jsonl"
    run(output, [*lines(2), Line("bad", "/v1/chat/completions", {"model": "tiny"})])
    whole = output.read_bytes()
    output.write_bytes(b'{"custom_id": "r2", "response": {"status_code": 500, "body": {}}, "error": null}\n' + whole)
    player = Player(VOCABULARY, ANSWER, endless=True)
    assert run(output, [*lines(3), Line("bad", "/v1/chat/completions", {"model": "tiny"})], player) == Summary(3, 1, 1)
    assert len(player.wanted) == 1
    assert results(output)["r2"]["response"]["status_code"] == 200


def test_another_file_is_not_written_into(tmp_path: Path):
    file = tmp_path / "out.jsonl"
    file.write_text("dear diary\n")
    with pytest.raises(RequestError, match="a file of results"):
        answered(file)
    assert file.read_text() == "dear diary\n"
