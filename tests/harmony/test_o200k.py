import pytest
import tiktoken_ext.openai_public

from ossia.harmony import CONTROL_TOKENS, o200k
from ossia.harmony.byte_pairs import O200K_PATTERN


def test_pattern_and_control_tokens_are_tiktokens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiktoken_ext.openai_public, "load_tiktoken_bpe", lambda *_, **__: {})  # would download them
    published = tiktoken_ext.openai_public.o200k_harmony()
    assert o200k.control() == published["special_tokens"]
    assert published["pat_str"] == O200K_PATTERN


def test_the_tables_meet_and_fill_the_embedding() -> None:
    ids = [*o200k.ranks().values(), *dict.fromkeys(o200k.control().values())]
    assert sorted(ids) == list(range(o200k.SIZE))
    assert len(o200k.ranks()) == o200k.RANKS
    assert set(CONTROL_TOKENS) < set(o200k.control())
