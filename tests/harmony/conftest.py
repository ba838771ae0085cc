"""What the Harmony tests share: the vocabulary, and openai-harmony as their judge, given our ranks and no network."""

import base64
import os
from pathlib import Path

import openai_harmony
import pytest

from ossia.harmony import Vocabulary


@pytest.fixture(scope="session")
def vocabulary() -> Vocabulary:
    return Vocabulary.embedded()


@pytest.fixture(scope="session")
def published_ranks(vocabulary: Vocabulary) -> bytes:
    """The published `o200k_base.tiktoken`, remade from the embedded ranks."""
    tokens = sorted(vocabulary.ranks.items(), key=lambda item: item[1])
    return b"".join(base64.b64encode(token) + b" %d\n" % rank for token, rank in tokens)


@pytest.fixture(scope="session")
def judge(published_ranks: bytes, tmp_path_factory: pytest.TempPathFactory) -> openai_harmony.HarmonyEncoding:
    folder: Path = tmp_path_factory.mktemp("encodings")
    folder.joinpath("o200k_base.tiktoken").write_bytes(published_ranks)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(os.environ, "TIKTOKEN_ENCODINGS_BASE", str(folder))
        return openai_harmony.load_harmony_encoding("HarmonyGptOss")
