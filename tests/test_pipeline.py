"""The Python interface."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ossia import pipeline
from ossia.assistant import Ended
from ossia.checkpoint import open_checkpoint, published_configs
from ossia.config import ModelConfig
from ossia.engine import SamplingParams
from ossia.errors import (
    CapacityError,
    CheckpointError,
    ConfigError,
    ConversationError,
    ModelNotFoundError,
    RequestError,
)
from ossia.harmony import Conversation, Effort, Message, Vocabulary, render
from tests.cli.tiny import CONFIG, CONTEXT, VOCABULARY, write_tiny
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


@pytest.fixture
def generation(tmp_path: Path) -> Callable[[dict[str, Any]], pipeline.Defaults]:
    """What is read from a generation_config.json."""
    folder = write_tiny(tmp_path / "tiny")

    def read(content: dict[str, Any]) -> pipeline.Defaults:
        (folder / "generation_config.json").write_text(json.dumps(content))
        return pipeline.defaults_of(open_checkpoint(folder))

    return read


def test_load_says_what_is_in_effect(path: Path):
    model = pipeline.load(str(path), backend="reference", context=100)
    assert model.settings() == {
        "path": str(path),
        "backend": "reference",
        "precision": "exact",
        "threads": None,
        "context": 100,
    }


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
    model.chat(HELLO, max_tokens=2)
    other = model.chat([{"role": "user", "content": "Quite another thing"}], max_tokens=2)
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
    ],
)
def test_messages_of_another_form_are_refused(messages: Any):
    with pytest.raises(ConversationError, match=r"messages\[\d\] is .*'role': 'user', 'content': 'text'"):
        pipeline.conversation_of(messages)


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


def test_precision_by_size():
    small, large = CONFIG, ModelConfig.read(published_configs()["20b"])
    assert (pipeline.default_precision(small), pipeline.default_precision(large)) == ("exact", "fast")
    # The published count; see docs and `ossia show`.
    assert pipeline.parameters(large) == 20_914_757_184


def test_logits_in_parts_are_those_of_the_whole(path: Path):
    loaded = pipeline.load_weights(str(path), backend="reference")
    tokens = list(range(50))
    parts = list(loaded.logits(tokens, rows=7))
    assert [len(part) for part in parts] == [7] * 7 + [1]
    whole = next(loaded.logits(tokens, rows=50))
    assert np.abs(np.concatenate(parts) - whole).max() <= 1e-5 * np.abs(whole).max()


def test_without_a_tokenizer_it_is_the_published_one(tmp_path: Path):
    checkpoint = open_checkpoint(write_tiny(tmp_path / "tiny"))
    large = replace(CONFIG, vocab_size=Vocabulary.embedded().size)
    assert pipeline.vocabulary_of(replace(checkpoint, tokenizer=None, config=large)) is Vocabulary.embedded()


# What the checkpoint says about generating


def test_without_a_file(path: Path):
    defaults = pipeline.defaults_of(open_checkpoint(path))
    assert (defaults.params, defaults.effort, defaults.stop_tokens) == (SamplingParams(), Effort.MEDIUM, ())


def test_the_published_file(generation):
    published = {"bos_token_id": 1, "do_sample": True, "eos_token_id": [7, 9], "transformers_version": "4.55.0.dev0"}
    found = generation(published)
    assert (found.params, found.stop_tokens, found.ignored) == (SamplingParams(), (7, 9), {})


def test_sampling_effort_and_what_is_not_supported(generation):
    found = generation({"temperature": 0.6, "top_k": 20, "reasoning_effort": "high", "repetition_penalty": 1.1})
    assert (found.params.temperature, found.params.top_k, found.effort) == (0.6, 20, Effort.HIGH)
    assert found.ignored == {"repetition_penalty": 1.1}


def test_greedy(generation):
    assert generation({"do_sample": False, "temperature": 0.6, "eos_token_id": 3}).params.temperature == 0.0


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ({"temperature": -1}, "temperature is -1"),
        ({"eos_token_id": "x"}, "a token of stop_tokens is 'x'"),
        ({"reasoning_effort": "huge"}, "huge"),
    ],
)
def test_values_that_cannot_be_right_are_named(generation, content: dict[str, Any], complaint: str):
    with pytest.raises(CheckpointError, match=r"generation_config\.json: .*" + complaint):
        generation(content)


def test_its_end_tokens_stop_an_answer(tmp_path: Path):
    folder = write_tiny(tmp_path / "tiny")
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": [5]}))
    model = pipeline.load(str(folder), backend="reference")
    assert set(model.engine.config.stop_tokens) == {5, VOCABULARY.return_, VOCABULARY.call}


# How much context the memory allows


def test_the_context_is_the_models_if_memory_allows(path: Path):
    assert pipeline.load(str(path), backend="reference").engine.context == CONTEXT


@pytest.mark.parametrize("free_gib", [2, 4, 8, 1000])
def test_the_context_is_bounded_by_memory(path: Path, monkeypatch, free_gib: int):
    large = ModelConfig.read(published_configs()["20b"])
    loaded = pipeline.load_weights(str(path), backend="reference")
    published = pipeline.Loaded(replace(loaded.checkpoint, config=large, bytes=1 << 30), loaded.ops, loaded.weights)
    monkeypatch.setattr(pipeline, "available_bytes", lambda: free_gib << 30)
    found = pipeline.affordable_context(published)
    per_token = 12 * 2 * 8 * 64 * 4  # 12 full layers of keys and values in float32
    half = ((free_gib - 1) << 30) // 2
    assert found == min(131_072, half // per_token // 1024 * 1024)


def test_a_context_that_does_not_fit_is_refused(path: Path, monkeypatch):
    monkeypatch.setattr(pipeline, "available_bytes", lambda: 100_000)
    with pytest.raises(CapacityError, match=r"a context of 500 tokens needs .* GiB of cache"):
        pipeline.load(str(path), backend="reference", context=500)
    with pytest.raises(ConfigError, match=f"the model was made for {CONTEXT} tokens"):
        pipeline.load(str(path), backend="reference", context=CONTEXT + 1)


def test_a_context_of_nothing_is_refused(path: Path):
    with pytest.raises(ConfigError, match="context is 0; an integer of at least 1 is right"):
        pipeline.load(str(path), backend="reference", context=0)


def test_memory_of_a_container(monkeypatch, tmp_path: Path):
    for name, text in {"memory.max": "1000", "memory.current": "900", "memory.stat": "anon 500\nfile 400\n"}.items():
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(pipeline, "CONTROL_GROUP", tmp_path)
    assert pipeline.available_bytes() == 500
    (tmp_path / "memory.max").write_text("max\n")
    assert (pipeline.available_bytes() or 0) > 500
