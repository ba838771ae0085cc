"""Text and tokens, and what a conversation is rendered to."""

from ossia.server.completions import endpoints
from tests.cli.tiny import VOCABULARY
from tests.server.playing import Player
from tests.server.serving import client_for, service_for


def post(path: str, **body: object) -> dict:
    return client_for(service_for(Player(VOCABULARY)), endpoints).post(path, json={"model": "tiny"} | body).json()


def test_control_tokens_are_text_unless_the_text_is_raw():
    text = "<|start|>user"
    assert post("/tokenize", text=text)["tokens"] == VOCABULARY.encode(text)
    raw = post("/tokenize", text=text, raw=True)
    assert raw["tokens"] == [VOCABULARY.start, *VOCABULARY.encode("user")]
    assert (raw["count"], "".join(raw["pieces"])) == (len(raw["tokens"]), text)


def test_there_and_back():
    tokens = post("/tokenize", text="größer")["tokens"]
    assert post("/detokenize", tokens=tokens) == {"text": "größer"}


def test_ids_that_are_no_tokens_are_refused():
    assert post("/detokenize", tokens=[1, 10**9])["error"]["param"] == "tokens[1]"
    assert post("/detokenize", tokens=[-1])["error"]["param"] == "tokens[0]"


def test_a_conversation_is_rendered_and_not_answered():
    body = post("/render", messages=[{"role": "user", "content": "Hi"}], reasoning_effort="high")
    assert "Reasoning: high" in body["text"]
    assert body["text"].endswith("<|start|>user<|message|>Hi<|end|><|start|>assistant")
    assert VOCABULARY.decode(body["tokens"]) == body["text"]
    assert body["settings"]["effort"] == "high"
