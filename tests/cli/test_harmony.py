"""`ossia harmony`."""

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from ossia.cli import main
from ossia.harmony import Conversation, Vocabulary, render

CHAT = {
    "messages": [{"role": "user", "content": "Hi 日本"}, {"role": "assistant", "channel": "final", "content": "Ho"}]
}
ASK = {"messages": [{"role": "user", "content": [{"type": "text", "text": "<|end|>?"}]}]}


def lines(folder: Path, *values: Any) -> str:
    file = folder / "in.jsonl"
    file.write_text("".join(f"{value if isinstance(value, str) else json.dumps(value)}\n" for value in values))
    return str(file)


def printed(capsys: pytest.CaptureFixture[str]) -> list[Any]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


@pytest.mark.parametrize("purpose", [None, "completion", "conversation", "training"])
def test_render_gives_one_line_a_conversation(tmp_path: Path, capsys: pytest.CaptureFixture[str], purpose: Any) -> None:
    option = [] if purpose is None else ["--as", purpose]
    assert main(["harmony", "render", lines(tmp_path, CHAT, ASK), *option]) == 0
    as_, v = purpose or "completion", Vocabulary.embedded()
    assert printed(capsys) == [{"tokens": render(Conversation.from_json(value), v, as_=as_)} for value in (CHAT, ASK)]


def test_parse_gives_one_line_a_stream(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    v = Vocabulary.embedded()
    chat = render(Conversation.from_json(CHAT), v, as_="conversation")
    call = [
        v.channel,
        *v.encode("commentary to=f.g"),
        v.constrain,
        *v.encode("json"),
        v.message,
        *v.encode("{}"),
        v.call,
    ]
    assert (
        main(["harmony", "parse", lines(tmp_path, {"tokens": chat}, {"tokens": [*call, v.end]}, {"tokens": []})]) == 0
    )
    empty = {"channel": None, "recipient": None, "content_type": None}
    assert printed(capsys) == [
        {
            "messages": [
                {"role": "user", **empty, "content": "Hi 日本"},
                {"role": "assistant", **empty, "channel": "final", "content": "Ho"},
            ],
            "repairs": [],
        },
        {
            "messages": [
                {
                    "role": "assistant",
                    "channel": "commentary",
                    "recipient": "f.g",
                    "content_type": "<|constrain|>json",
                    "content": "{}",
                }
            ],
            "repairs": [{"kind": "stray-token", "position": len(call), "text": "<|end|>"}],
        },
        {"messages": [], "repairs": []},
    ]


def test_standard_input_and_a_tools_name(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    v = Vocabulary.embedded()
    ids = [*v.encode("functions.f to=assistant"), v.message, *v.encode("4"), v.end]
    data = json.dumps({"tokens": [v.start, *ids]}).encode()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
    assert main(["harmony", "parse", "-"]) == 0
    message = printed(capsys)[0]["messages"][0]
    assert (message["role"], message["name"], message["recipient"]) == ("tool", "functions.f", "assistant")


def test_a_models_own_vocabulary(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small = Vocabulary.embedded().shortened(1000)
    tmp_path.joinpath("tokenizer.json").write_bytes(small.to_tokenizer_json())
    for path in (tmp_path, tmp_path / "tokenizer.json"):
        assert main(["harmony", "render", lines(tmp_path, ASK), "--vocabulary", str(path)]) == 0
        assert printed(capsys) == [{"tokens": render(Conversation.from_json(ASK), small)}]


def test_options_reach_the_renderer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    thought = {"role": "assistant", "channel": "analysis", "content": "Hm"}
    tool = {"name": "f", "description": "", "parameters": {"type": "object", "properties": {"a": {"const": 1}}}}
    functions = {"functions": {"name": "functions", "tools": [tool]}}
    developer = {"role": "developer", "content": [{"type": "developer_content", "tools": functions}]}
    value = {"messages": [developer, CHAT["messages"][0], thought, CHAT["messages"][1]]}
    conversation, v = Conversation.from_json(value), Vocabulary.embedded()
    assert main(["harmony", "render", lines(tmp_path, value), "--keep-analysis", "--faithful"]) == 0
    assert printed(capsys) == [{"tokens": render(conversation, v, drop_analysis=False, faithful=True)}]
    assert main(["harmony", "render", lines(tmp_path, value)]) == 0
    assert printed(capsys) == [{"tokens": render(conversation, v)}]


@pytest.mark.parametrize(
    ("action", "bad", "complaint"),
    [
        ("render", "{", "one JSON object would stand here"),
        ("render", '{"messages": }', "line 2: one JSON object would stand here: Expecting value (column 14)\n"),
        ("render", "[]", "line 2: this would be an object, found the list []"),
        ("render", "null", "line 2: this would be an object, found null"),
        ("render", "[" * 100_000, "one JSON object would stand here"),
        ("render", '{"messages": [], "x": NaN}', "JSON has no NaN"),
        ("render", '{"messages": [{"role": "user"}]}', "messages[0].content: this would be a string or a list"),
        ("render", '{"messages": [{"role": "tool", "content": ""}]}', "name: a tool's message needs"),
        ("parse", "[1]", "a list of token ids and nothing else"),
        ("parse", '{"tokens": [1], "more": 1}', "a list of token ids and nothing else"),
        ("parse", '{"tokens": [1, true]}', "tokens[1]: this would be a token id, a whole number; found true"),
        ("parse", '{"tokens": [1.5]}', "tokens[0]: this would be a token id"),
    ],
)
def test_a_bad_line_is_named_by_its_number(
    action: str, bad: str, complaint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = {"tokens": [1]} if action == "parse" else ASK
    file = lines(tmp_path, good, bad, good)
    assert main(["harmony", action, file]) == 1
    out, error = capsys.readouterr()
    assert len(out.splitlines()) == 1
    assert len(error.splitlines()) == 1
    assert f"{file}: line 2: " in error
    assert error.count("line ") == 1
    assert complaint in error


def test_bytes_that_are_no_text_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tmp_path.joinpath("in.jsonl").write_bytes(b"\xff\n")
    assert main(["harmony", "render", str(tmp_path / "in.jsonl")]) == 1
    assert "line 1: one JSON object would stand here" in capsys.readouterr().err


@pytest.mark.parametrize("option", [[], ["--vocabulary"]])
def test_a_missing_file_is_named(option: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    missing = str(tmp_path / "missing")
    file = lines(tmp_path, ASK) if option else missing
    assert main(["harmony", "render", file, *option, *([missing] if option else [])]) == 1
    said = capsys.readouterr().err
    right = "a model's tokenizer.json, or" if option else "a file of JSON Lines, or - for standard input,"
    assert said.startswith(f"ossia: {missing}: No such file or directory; {right}")


def test_empty_lines_are_passed_over_and_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["harmony", "render", lines(tmp_path, "", ASK, " \t", ASK, "", "{")]) == 1
    out, error = capsys.readouterr()
    assert len(out.splitlines()) == 2
    assert "line 6: " in error


def test_a_vocabulary_that_is_none_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = lines(tmp_path, ASK)
    assert main(["harmony", "render", file, "--vocabulary", file]) == 1
    assert capsys.readouterr().err.startswith(f"ossia: {file}: model would be an object")
