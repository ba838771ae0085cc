"""Beginnings of conversations: kept from one start to another, with the same bits, and never in the way."""

import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from ossia import beginnings, copies
from ossia.checkpoint import cached_files
from ossia.engine import SamplingParams
from ossia.harmony import Effort, render
from ossia.loading import Loaded
from ossia.pipeline import Model, conversation_of, load
from tests.cli.tiny import write_tiny

SETTINGS = SamplingParams(temperature=1.0, seed=7, max_tokens=12, logprobs=3)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache, in which copies are kept however few they are."""
    monkeypatch.setattr(copies, "WORTH_KEEPING", 0)
    monkeypatch.setenv("OSSIA_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def tiny(tmp_path: Path) -> str:
    return str(write_tiny(tmp_path / "tiny"))


def prompt(model: Model, text: str = "Hello", effort: Effort = Effort.LOW, date: str = "2026-11-26") -> list[int]:
    conversation = conversation_of([{"role": "user", "content": text}], effort, date)
    return render(conversation, model.vocabulary)


def answer(model: Model, tokens: list[int]) -> tuple[int, list[Any]]:
    """How many tokens of the prompt were there already, and all that was drawn."""
    outputs = list(model.engine.generate(tokens, SETTINGS, rendered=True))
    model.engine.audit()
    return outputs[0].cached_tokens, [(output.tokens, output.logprobs) for output in outputs]


def asked(path: str, *, precision: str = "fast", **wanted: Any) -> tuple[int, list[Any]]:
    """The same by a model that was just started."""
    model = load(path, precision=precision)
    return answer(model, prompt(model, **wanted))


def system_length(path: str) -> int:
    model = load(path, precision="fast")
    return prompt(model).index(model.vocabulary.end) + 1


def kept(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.beginning.safetensors"))


@pytest.mark.parametrize("text", ["Hello", "What is 37 * 48?"])
def test_a_second_start_goes_on_from_the_first_message_with_the_same_bits(folder: Path, tiny: str, text: str):
    (none, first), (some, second) = asked(tiny), asked(tiny)
    assert (none, some) == (0, system_length(tiny))
    assert first == second
    # What was kept is of the message alone: another question goes on from it too, as if all had been computed.
    (cached, other), alone = asked(tiny, text=text), load(tiny, precision="fast")
    alone.engine._beginner = None
    assert cached == some
    assert answer(alone, prompt(alone, text=text)) == (0, other)
    assert len(kept(folder)) == 1


@pytest.mark.parametrize("other", ["name", "edition", "precision", "kv_cache_dtype", "page size", "config"])
def test_whoever_would_compute_other_bits_has_other_files(folder: Path, tiny: str, other: str):
    model = load(tiny, precision="fast")

    def origin(loaded: Loaded, page_size: int = 16) -> str:
        store = beginnings.KeptBeginnings.of(loaded, model.vocabulary, page_size)
        assert store is not None
        return store.origin

    loaded = model.loaded
    before = origin(loaded)
    assert origin(loaded) == before
    match other:
        case "page size":
            assert origin(loaded, 32) != before
            return
        case "config":
            config = replace(loaded.config, rope_theta=9.0)
            changed = replace(loaded, checkpoint=replace(loaded.checkpoint, config=config))
        case _:
            said = {name: getattr(loaded.ops, name) for name in ("name", "edition", "precision", "kv_cache_dtype")}
            changed = replace(loaded, ops=cast(Any, SimpleNamespace(**said | {other: "another"})))
    assert origin(changed) != before


def test_another_effort_or_day_is_another_beginning(folder: Path, tiny: str):
    asked(tiny)
    assert asked(tiny, effort=Effort.HIGH)[0] == 0
    assert asked(tiny, date="2026-11-27")[0] == 0
    assert len(kept(folder)) == 3
    assert asked(tiny, effort=Effort.HIGH)[0] > 0


def test_the_newest_are_kept_and_copies_stay(folder: Path, tiny: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(cached_files, "_FRESH_SECONDS", 0.0)
    for day in range(1, 4):
        asked(tiny, date=f"2026-11-0{day}")
    model = load(tiny, precision="fast")
    for day in range(4, 12):
        answer(model, prompt(model, date=f"2026-11-{day:02d}"))
        assert asked(tiny, date="2026-11-01")[0] > 0, "what is used stays among the newest"
    assert len(kept(folder)) == beginnings.NEWEST
    assert len(list(folder.iterdir())) == beginnings.NEWEST + 1
    assert load(tiny, precision="fast").loaded.copies.written is False  # type: ignore[union-attr]


@pytest.mark.parametrize("damage", ["flipped", "short", "empty", "another user's", "other shapes"])
def test_what_is_damaged_is_computed_and_kept_anew(folder: Path, tiny: str, damage: str):
    _, first = asked(tiny)
    [file] = kept(folder)
    sound = file.read_bytes()
    match damage:
        case "flipped":
            file.write_bytes(sound[:-100] + bytes([sound[-100] ^ 1]) + sound[-99:])
        case "short":
            file.write_bytes(sound[:-64])
        case "empty":
            file.write_bytes(b"")
        case "another user's":
            file.chmod(0o666)
        case "other shapes":
            model = load(tiny, precision="fast")
            store = beginnings.KeptBeginnings.of(model.loaded, model.vocabulary, 16)
            assert store is not None
            store.keep(prompt(model)[: system_length(tiny)], [np.zeros((1, 8), np.uint8)] * 2)
    assert asked(tiny) == (0, first)
    if damage != "other shapes":
        assert file.read_bytes() == sound
        assert asked(tiny)[0] > 0


@pytest.mark.parametrize("text", ["x" * 20_000, "short"])
def test_only_system_messages_of_some_length_are_kept(folder: Path, tiny: str, text: str):
    model = load(tiny, precision="fast")
    vocabulary = model.vocabulary
    role = "system" if len(text) > beginnings.MOST_TOKENS else "user"
    header = [vocabulary.start, *vocabulary.encode(role), vocabulary.message]
    store = beginnings.KeptBeginnings.of(model.loaded, vocabulary, 16)
    assert store is not None
    assert not store.misses([*header, *vocabulary.encode(text), vocabulary.end])
    answer(model, [*header, *vocabulary.encode("short"), vocabulary.end, vocabulary.start])
    assert len(kept(folder)) == (role == "system")


@pytest.mark.parametrize("precision", ["turbo", "exact"])
def test_nothing_is_kept_where_bits_depend_on_company_or_nothing_is_worth_it(
    folder: Path, tiny: str, precision: str, monkeypatch: pytest.MonkeyPatch
):
    if precision == "exact":
        monkeypatch.setattr(copies, "WORTH_KEEPING", 1 << 40)
    assert [asked(tiny, precision=precision)[0] for _ in range(2)] == [0, 0]
    assert not kept(folder)


def test_nothing_is_kept_without_a_folder(tiny: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(copies, "WORTH_KEEPING", 0)
    monkeypatch.setenv("OSSIA_CACHE", "")
    assert [asked(tiny)[0] for _ in range(2)] == [0, 0]


def test_a_disk_that_takes_nothing_is_asked_once(folder: Path, tiny: str, monkeypatch: pytest.MonkeyPatch):
    tries = []

    def refuse(file: Path, *rest: object) -> None:
        tries.append(file)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(beginnings, "write", refuse)
    model = load(tiny, precision="fast")
    first = answer(model, prompt(model))[1]
    model.engine.forget()
    assert answer(model, prompt(model)) == (0, first)
    assert len(tries) == 1


def test_other_kernels_have_other_beginnings(folder: Path, tiny: str, monkeypatch: pytest.MonkeyPatch):
    asked(tiny)
    monkeypatch.setattr("ossia.ops.library.edition", lambda: "another build")
    assert asked(tiny)[0] == 0
    assert len(kept(folder)) == 2


def test_what_an_open_model_computes_is_not_that_of_the_files_that_came_in_place_of_its_own(folder: Path, tiny: str):
    model = load(tiny, precision="fast")
    shutil.rmtree(tiny)
    write_tiny(Path(tiny), seed=1)
    answer(model, prompt(model))
    cached, _ = asked(tiny)
    assert cached == 0


def test_a_file_that_another_process_removes_is_computed_and_kept_again(folder: Path, tiny: str):
    asked(tiny)
    model = load(tiny, precision="fast")
    kept(folder)[0].unlink()
    assert answer(model, prompt(model))[0] == 0
    assert len(kept(folder)) == 1


def test_what_computes_otherwise_has_beginnings_of_its_own(folder: Path, tiny: str):
    """Each of these has other bits; `exact` has the tiny model's copies beside it here."""
    for options in ({}, {"kv_cache_dtype": "f32"}, {"kv_cache_dtype": "int8"}, {"precision": "exact"}):
        settings = {"precision": "fast"} | options
        for cached in (False, True):
            model = load(tiny, **settings)  # type: ignore[arg-type] # names of options
            assert (answer(model, prompt(model))[0] > 0) == cached, options
    assert len(kept(folder)) == 4


def test_another_config_has_others(folder: Path, tiny: str):
    asked(tiny)
    config = Path(tiny) / "config.json"
    config.write_text(config.read_text().replace("10000.0", "50000.0"))
    assert asked(tiny)[0] == 0


def test_what_a_user_wrote_is_not_kept(folder: Path, tiny: str):
    model = load(tiny, precision="fast")
    raw = [*prompt(model, text="hidden")]
    list(model.engine.generate(raw, SETTINGS))
    model.generate(raw, max_tokens=1)
    assert not kept(folder)
    model.chat([{"role": "user", "content": "Hello"}], max_tokens=1)
    assert len(kept(folder)) == 1


@pytest.mark.parametrize("broken", ["exists", "utime", "read_file"])
def test_a_disk_that_fails_is_no_error(folder: Path, tiny: str, broken: str, monkeypatch: pytest.MonkeyPatch):
    _, first = asked(tiny)

    def fail(*given: object, **named: object) -> bool:
        raise PermissionError(13, "Permission denied")

    model = load(tiny, precision="fast")
    where: Any = {"exists": Path, "utime": beginnings.os, "read_file": beginnings}[broken]
    with monkeypatch.context() as patch:
        patch.setattr(where, broken, fail)
        cached, drawn = answer(model, prompt(model))
    assert drawn == first
    assert (cached > 0) == (broken == "utime" or broken == "exists")
    assert not model.engine.has_work


def test_an_interrupt_while_it_is_kept_leaves_the_books_in_order(
    folder: Path, tiny: str, monkeypatch: pytest.MonkeyPatch
):
    def interrupted(*given: object) -> None:
        raise KeyboardInterrupt

    model = load(tiny, precision="fast")
    monkeypatch.setattr(beginnings, "write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        answer(model, prompt(model))
    model.engine.audit()
    model.engine.step()
    assert not model.engine.has_work
