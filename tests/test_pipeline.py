"""The Python interface."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from ossia import loading, pipeline
from ossia.assistant import Ended
from ossia.engine import SamplingParams
from ossia.errors import (
    CapacityError,
    ConfigError,
    ConversationError,
    ModelNotFoundError,
    RequestError,
)
from ossia.harmony import Conversation, Message, render
from tests.cli.tiny import CONTEXT, VOCABULARY, write_tiny
from tests.scripted import ScriptedEngine

HELLO = [{"role": "user", "content": "Hello"}]
ANSWER = "<|channel|>analysis<|message|>Greet.<|end|><|start|>assistant<|channel|>final<|message|>Hi!<|return|>"


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def scripted(path: Path) -> Callable[..., tuple[pipeline.Model, ScriptedEngine]]:
    def make(*answers: str) -> tuple[pipeline.Model, ScriptedEngine]:
        model = pipeline.load(str(path), backend="reference")
        engine = ScriptedEngine(VOCABULARY, *answers)
        model.engine = engine  # type: ignore[assignment]
        return model, engine

    return make


def test_load_says_what_is_in_effect(path: Path):
    model = pipeline.load(str(path), backend="reference", context=100)
    assert model.settings() == {
        "path": str(path),
        "backend": "reference",
        "precision": "exact",
        "kv_cache_dtype": "f32",
        "threads": None,
        "context": 100,
    }


def test_what_can_be_refused_is_refused_before_the_weights_are_loaded(path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(pipeline, "open_weights", lambda *_, **__: pytest.fail("the weights were loaded"))
    with pytest.raises(ConfigError, match=f"the model was made for {CONTEXT} tokens"):
        pipeline.load(str(path), context=CONTEXT + 1)


def test_a_real_answer_is_the_same_with_the_same_seed(path: Path):
    model = pipeline.load(str(path), backend="reference")
    first, second = (model.chat(HELLO, max_tokens=20, seed=5) for _ in range(2))
    assert first.messages == second.messages
    assert first.usage.generated_tokens <= 20
    assert second.usage.cached_tokens > 100, "the same prompt is found in the cache"


def test_the_next_turn_finds_the_last_in_the_cache(path: Path):
    model = pipeline.load(str(path), backend="reference")
    said = list(pipeline.conversation_of(HELLO).messages)
    first = pipeline.exhausted(model.stream(Conversation(tuple(said)), SamplingParams(max_tokens=30, seed=1)))
    said += [*first.messages, Message("user", "And now?")]
    prompt = render(Conversation(tuple(said)), model.vocabulary)
    second = pipeline.exhausted(model.stream(Conversation(tuple(said)), SamplingParams(max_tokens=2)))
    assert second.usage.prompt_tokens == len(prompt)
    assert second.usage.cached_tokens > 100, "all up to the user's first message at least"


def test_another_conversation_finds_the_system_message_in_the_cache(path: Path):
    model = pipeline.load(str(path), backend="reference")
    system = render(Conversation(pipeline.conversation_of(HELLO).messages[:1]), VOCABULARY, as_="conversation")
    model.chat(HELLO, max_tokens=2, date=None)
    other = model.chat([{"role": "user", "content": "Quite another thing"}], max_tokens=2, date=None)
    assert other.usage.cached_tokens == len(system), "up to the end of the message that both begin with"


def test_chat(scripted):
    model, engine = scripted(ANSWER)
    turn = model.chat([{"role": "system", "content": "Be kind."}, *HELLO], effort="high", date="2026-01-31", top_p=0.5)
    assert (turn.answer, turn.reasoning) == ("Hi!", "Greet.")
    assert engine.params[0].top_p == 0.5
    for part in (
        "Reasoning: high",
        "Current date: 2026-01-31",
        "# Instructions\n\nBe kind.",
        "<|message|>Hello<|end|>",
    ):
        assert part in engine.prompts[0]


def test_stream_yields_events_and_returns_the_turn(scripted):
    model, _ = scripted(ANSWER)
    events = list(model.stream(pipeline.conversation_of(HELLO)))
    assert [event.message.channel for event in events if isinstance(event, Ended)] == ["analysis", "final"]


def test_the_pipeline_of_transformers(path: Path, scripted, monkeypatch):
    model, engine = scripted(ANSWER)
    monkeypatch.setattr(pipeline, "load", lambda name, **options: model)
    generate = pipeline.pipeline("text-generation", model=str(path))
    assert generate(HELLO, max_new_tokens=60) == [
        {"generated_text": [*HELLO, {"role": "assistant", "content": "Hi!"}]},
    ]
    assert engine.params[0].max_tokens == 60


def test_the_pipeline_goes_on_with_a_string(path: Path):
    generate = pipeline.pipeline("text-generation", model=str(path), backend="reference")
    (found,) = generate("Hello", max_new_tokens=5, seed=1)
    assert found["generated_text"].startswith("Hello")
    assert len(found["generated_text"]) > len("Hello")


def test_another_task_is_refused():
    with pytest.raises(RequestError, match="no pipeline is called 'fill-mask'"):
        pipeline.pipeline("fill-mask")


@pytest.mark.parametrize(
    "messages",
    [
        [{"role": "user"}],
        [{"role": "wizard", "content": "x"}],
        [{"role": "user", "content": ["x"]}],
        ["x"],
        [*HELLO, {"role": "system", "content": "late"}],
        [{"role": "user", "content": "x", "name": "Ann"}],
        [*HELLO, {"role": "assistant", "content": "", "tool_calls": []}, *HELLO],
    ],
)
def test_messages_of_another_form_are_refused(messages: Any):
    with pytest.raises(ConversationError, match=r"messages\[\d\] is .*'role': 'user', 'content': 'text'"):
        pipeline.conversation_of(messages)


@pytest.mark.parametrize("messages", [None, 5, "Hello", {"role": "user", "content": "x"}])
def test_what_is_no_list_of_messages_is_refused(messages: Any):
    with pytest.raises(ConversationError, match=r"^messages are .*; a list of .* is right$"):
        pipeline.conversation_of(messages)


@pytest.mark.parametrize("rest", [[], [{"role": "assistant", "content": "Hi!"}]])
def test_the_user_speaks_last(rest: list[dict[str, str]]):
    with pytest.raises(ConversationError, match=r"^the messages do not end with the user's"):
        pipeline.conversation_of([*HELLO, *rest] if rest else [])


def test_half_a_character_is_refused():
    with pytest.raises(ConversationError, match=r"messages\[1\] has half of a surrogate pair, '\\ud800' at 2"):
        pipeline.conversation_of([*HELLO, {"role": "user", "content": "ab\ud800"}])


def test_the_model_is_told_the_day_unless_told_otherwise(scripted):
    model, engine = scripted(ANSWER, ANSWER)
    model.chat(HELLO)
    model.chat(HELLO, date=None)
    assert f"Current date: {date.today().isoformat()}\n" in engine.prompts[0]
    assert "Current date" not in engine.prompts[1]


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"effort": "x"}, "^effort is 'x'; none, low, medium, high or None is right$"),
        ({"date": "zzz"}, "^date is 'zzz'; YYYY-MM-DD, 'today' or None is right$"),
        ({"date": 5}, "^date is 5; "),
    ],
)
def test_effort_and_date_are_known_ones(scripted, wrong: dict[str, Any], says: str):
    model, _ = scripted(ANSWER)
    with pytest.raises(RequestError, match=says):
        model.chat(HELLO, **wrong)


@pytest.mark.parametrize("model", [None, 5, b"nano"])
def test_what_is_no_name_of_a_model_is_refused(model: Any):
    with pytest.raises(RequestError, match=r"^the model is .*; a path or a name, such as 'nano', is right$"):
        pipeline.load(model)


def test_a_model_is_loaded_from_a_path(path: Path):
    assert pipeline.load(path, backend="reference").settings()["path"] == str(path)


def test_earlier_answers_are_finals():
    history = pipeline.conversation_of([*HELLO, {"role": "assistant", "content": "Hi!"}, *HELLO])
    assert "<|channel|>final<|message|>Hi!<|end|>" in VOCABULARY.decode(render(history, VOCABULARY))


def test_unknown_sampling_is_refused(scripted):
    model, _ = scripted(ANSWER)
    with pytest.raises(RequestError, match="unknown keys 'heat'"):
        model.chat(HELLO, heat=1)


def test_an_unknown_model(tmp_path: Path):
    with pytest.raises(ModelNotFoundError):
        pipeline.load(str(tmp_path / "nowhere"))


def test_its_end_tokens_stop_an_answer(tmp_path: Path):
    folder = write_tiny(tmp_path / "tiny")
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": [5]}))
    model = pipeline.load(str(folder), backend="reference")
    assert set(model.engine.config.stop_tokens) == {5, VOCABULARY.return_, VOCABULARY.call}


def test_the_context_is_the_models_if_memory_allows(path: Path):
    assert pipeline.load(str(path), backend="reference").engine.context == CONTEXT


def test_a_context_that_does_not_fit_is_refused(path: Path, monkeypatch):
    monkeypatch.setattr(loading, "available_bytes", lambda: 100_000)
    with pytest.raises(CapacityError, match=r"a context of 500 tokens needs .* GiB of cache"):
        pipeline.load(str(path), backend="reference", context=500)
    with pytest.raises(ConfigError, match=f"the model was made for {CONTEXT} tokens"):
        pipeline.load(str(path), backend="reference", context=CONTEXT + 1)


def test_a_context_of_nothing_is_refused(path: Path):
    with pytest.raises(ConfigError, match="context is 0; an integer of at least 1 is right"):
        pipeline.load(str(path), backend="reference", context=0)


def test_of_two_answers_at_once_the_second_is_refused_and_the_first_ends(path: Path):
    model = pipeline.load(str(path), backend="reference")
    conversation = pipeline.conversation_of(HELLO)
    first = model.stream(conversation, model.sampling({"max_tokens": 8}))
    next(first)
    for another in (
        lambda: model.chat(HELLO),
        lambda: model.generate("Hello"),
        lambda: next(model.stream(conversation)),
        lambda: ThreadPoolExecutor(1).submit(model.chat, HELLO).result(),
    ):
        with pytest.raises(RequestError, match="the model is writing another answer; its end, or the close of its"):
            another()
    assert pipeline.exhausted(first).usage
    second = model.stream(conversation)
    next(second)
    second.close()
    assert model.generate("Hello", max_tokens=2)


@pytest.mark.parametrize(
    ("prompt", "says"),
    [
        (b"abc", "the prompt is b'abc'; a text or numbers"),
        ("a\ud800", "has half of a surrogate pair, '\\\\ud800' at 1"),
    ],
)
def test_a_prompt_that_is_no_text_is_refused(path: Path, prompt: Any, says: str):
    with pytest.raises(RequestError, match=says):
        pipeline.load(str(path), backend="reference").generate(prompt)


def test_two_names_of_one_limit_are_refused(path: Path):
    generate = pipeline.pipeline(model=str(path), backend="reference")
    with pytest.raises(RequestError, match="one of them is right"):
        generate("Hello", max_new_tokens=5, max_tokens=3)
