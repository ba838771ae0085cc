"""Tokens to events: which tokens a text is made of."""

from dataclasses import replace
from typing import Any

from ossia.assistant import Began, Ended, Kind, Text
from ossia.assistant.reader import Reader
from ossia.engine import Logprob, Output
from tests.cli.tiny import VOCABULARY
from tests.scripted import ids

OUTPUT = Output(
    request_id=0,
    tokens=(),
    logprobs=None,
    finish=None,
    prompt_tokens=1,
    cached_tokens=0,
    generated_tokens=1,
    seed=7,
)


def events(text: str, stop: tuple[str, ...] = (), *, logprobs: bool = False) -> list[Any]:
    reader, tokens = Reader(VOCABULARY, stop), ids(VOCABULARY, text)
    given = tuple(Logprob(-float(place), ()) for place in range(len(tokens))) if logprobs else None
    found = [*reader.read(replace(OUTPUT, tokens=tuple(tokens), logprobs=given)), *reader.finish()]
    assert [event.message for event in found if isinstance(event, Ended)] == reader.messages
    return found


def test_each_text_has_its_tokens_and_their_logprobs():
    said = "<|channel|>final<|message|>Ja, größer.<|return|>"
    found = [event for event in events(said, logprobs=True) if isinstance(event, Text)]
    drawn = [token for event in found for token in event.drawn]
    assert VOCABULARY.decode([token.id for token in drawn]) == "Ja, größer."
    before = len(ids(VOCABULARY, "<|channel|>final<|message|>"))
    assert [token.logprob for token in drawn] == [Logprob(-float(before + i), ()) for i in range(len(drawn))]


def test_a_message_without_a_text_begins_and_ends():
    found = events("<|channel|>analysis<|message|><|end|><|start|>assistant<|channel|>final<|message|>a<|return|>")
    kinds = [type(event) for event in found[1:]]
    assert kinds == [Began, Ended, Began, Text, Ended]


def test_what_is_held_back_comes_with_its_tokens_at_the_end():
    found = events("<|channel|>final<|message|>one sto<|return|>", stop=("stop",))
    texts = [event for event in found if isinstance(event, Text)]
    assert "".join(event.text for event in texts) == "one sto"
    assert VOCABULARY.decode([token.id for event in texts for token in event.drawn]) == "one sto"


def test_a_header_that_is_never_closed_becomes_a_message():
    found = events("<|channel|>final 4")
    assert Began(Kind.ANSWER) in found
    assert Text(Kind.ANSWER, "4") in found
