"""Completions over the real application: raw in, raw out."""

import json
from typing import Any

import pytest
from openai.types import Completion

from ossia.server.completions import endpoints
from tests.cli.tiny import VOCABULARY
from tests.scripted import ids
from tests.server.playing import Player
from tests.server.serving import client_for, events_of, service_for

ANSWER = "<|channel|>final<|message|>It is 4.<|return|>"
PROMPT = "<|start|>user<|message|>2 + 2?<|end|><|start|>assistant"


def ask(*answers: Any, player: Player | None = None, status: int = 200, **fields: Any) -> Any:
    player = player or Player(VOCABULARY, *answers, endless=True)
    client = client_for(service_for(player), endpoints)
    body = {"model": "tiny", "prompt": PROMPT, "max_tokens": 100} | fields
    response = client.post("/v1/completions", json=body)
    assert response.status_code == status, response.text
    if not fields.get("stream") or status != 200:
        return response.json()
    *parts, last = events_of(response)
    assert last == "[DONE]"
    return [json.loads(part) for part in parts]


def test_harmony_goes_in_and_out_as_it_is():
    player = Player(VOCABULARY, ANSWER)
    body = ask(player=player)
    Completion.model_validate(body, strict=True)
    (choice,) = body["choices"]
    assert (choice["text"], choice["finish_reason"]) == (ANSWER, "stop")
    assert choice["token_ids"] == ids(VOCABULARY, ANSWER)
    assert list(player.wanted[0].prompt) == ids(VOCABULARY, PROMPT)
    assert player.wanted[0].grammar is None
    assert body["usage"]["prompt_tokens"] == len(ids(VOCABULARY, PROMPT))


def test_token_ids_are_taken_as_they_are():
    player = Player(VOCABULARY, ANSWER, endless=True)
    ask(player=player, prompt=[1, 2, VOCABULARY.end])
    ask(player=player, prompt=[[3], [4, 5]], n=2)
    assert [wanted.prompt for wanted in player.wanted] == [(1, 2, VOCABULARY.end), (3,), (3,), (4, 5), (4, 5)]


def test_several_prompts_have_their_answers_in_order():
    body = ask("<|channel|>a<|return|>", "<|channel|>b<|return|>", prompt=["x", "y"])
    assert [choice["index"] for choice in body["choices"]] == [0, 1]
    assert {choice["text"] for choice in body["choices"]} == {"<|channel|>a<|return|>", "<|channel|>b<|return|>"}
    assert body["usage"]["prompt_tokens"] == len(VOCABULARY.encode("x")) + len(VOCABULARY.encode("y"))


def test_a_stream_is_the_same_text():
    chunks = ask(ANSWER, stream=True, logprobs=1, stream_options={"include_usage": True})
    for chunk in chunks:
        Completion.model_validate(
            {**chunk, "choices": [c | {"finish_reason": c["finish_reason"] or "stop"} for c in chunk["choices"]]},
            strict=True,
        )
    choices = [choice for chunk in chunks for choice in chunk["choices"]]
    whole = ask(ANSWER, logprobs=1)["choices"][0]
    assert "".join(choice["text"] for choice in choices) == whole["text"]
    for name, values in whole["logprobs"].items():
        assert [value for choice in choices for value in choice["logprobs"][name]] == values
    assert choices[-1]["finish_reason"] == "stop"
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"]["completion_tokens"] == len(ids(VOCABULARY, ANSWER))


def test_each_token_has_its_place_in_the_text():
    body = ask("größer<|return|>", logprobs=2)["choices"][0]
    scored = body["logprobs"]
    assert len(scored["tokens"]) == len(ids(VOCABULARY, "größer<|return|>")) == len(scored["text_offset"])
    whole = [i for i, token in enumerate(scored["tokens"]) if "\ufffd" not in token]
    assert all(body["text"].startswith(scored["tokens"][i], scored["text_offset"][i]) for i in whole)
    assert all(len(top) == 2 for top in scored["top_logprobs"])


def test_a_stop_string_cuts_text_and_tokens():
    body = ask(ANSWER, stop=" is", logprobs=0)["choices"][0]
    assert body["text"] == "<|channel|>final<|message|>It"
    assert "".join(body["logprobs"]["tokens"]) == body["text"]


def test_half_a_character_at_the_end_is_said():
    half = VOCABULARY.encode("ß")[:1]
    assert ask([*VOCABULARY.encode("a"), *half])["choices"][0]["text"] == "a\ufffd"


def test_an_echo_scores_the_prompt():
    player = Player(VOCABULARY, VOCABULARY.encode("bcd"), ANSWER)
    body = ask(player=player, prompt=VOCABULARY.encode("a") + VOCABULARY.encode("bcd"), echo=True, logprobs=1)
    replay, plain = player.wanted
    assert (replay.replay, replay.params.max_tokens, replay.params.stop_tokens) == (True, len(replay.prompt) - 1, ())
    assert (plain.replay, plain.prompt) == (False, replay.prompt)
    (choice,) = body["choices"]
    assert choice["text"] == "abcd" + ANSWER
    assert choice["logprobs"]["token_logprobs"][0] is None
    assert choice["logprobs"]["token_logprobs"][1:] == [-0.25] * (len(choice["logprobs"]["tokens"]) - 1)


def test_nothing_but_the_prompts_scores():
    player = Player(VOCABULARY, VOCABULARY.encode("bcd"))
    body = ask(
        player=player, prompt=VOCABULARY.encode("a") + VOCABULARY.encode("bcd"), echo=True, logprobs=1, max_tokens=0
    )
    assert (body["choices"][0]["text"], body["choices"][0]["finish_reason"]) == ("abcd", "length")
    assert len(player.wanted) == 1


def test_stop_tokens_of_ones_own_or_none():
    player = Player(VOCABULARY, ANSWER, endless=True)
    ask(player=player)
    ask(player=player, ignore_eos=True)
    ask(player=player, stop_token_ids=[5])
    assert [wanted.params.stop_tokens for wanted in player.wanted] == [None, (), (5,)]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"prompt": []}, "prompt"),
        ({"prompt": ""}, "prompt"),
        ({"prompt": ["a", 1]}, "prompt"),
        ({"prompt": [[]]}, "prompt"),
        ({"prompt": ["a"] * 200}, "prompt"),
        ({"prompt": {"text": "a"}}, "prompt"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": -1, "echo": True}, "max_tokens"),
        ({"n": 0}, "n"),
        ({"n": 2, "best_of": 3}, "best_of"),
        ({"suffix": "x"}, "suffix"),
        ({"temperature": 1000}, "temperature"),
        ({"logprobs": -1}, "logprobs"),
        ({"nonsense": 1}, "nonsense"),
    ],
)
def test_what_cannot_be_honoured_is_refused_by_name(fields: dict[str, Any], param: str):
    error = ask(ANSWER, status=400, **fields)["error"]
    assert error["param"] == param
    assert ask(ANSWER, status=400, stream=True, **fields)["error"] == error
