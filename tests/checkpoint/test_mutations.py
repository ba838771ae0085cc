"""Readers under a fuzzer: whatever is done to a checkpoint's files, opening it works or is refused by a named error.

A mutation that is not refused must leave a checkpoint whose tensors all have the shapes that its config calls for, and
whose every byte can be read. More than the few hundred rounds of a usual run: OSSIA_FUZZ_ROUNDS=10000.
"""

import os
import random
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ossia.checkpoint import expected_tensors, open_checkpoint, write
from ossia.errors import ConfigError, OssiaError
from ossia.mxfp4 import Packed, decode
from tests.checkpoint.models import TINY, TOKENIZER, tensors_for

ROUNDS = int(os.environ.get("OSSIA_FUZZ_ROUNDS", "250"))

FORMS = ["hugging_face", "bfloat16", "sharded", "original", "gguf", "ollama"]
EXTREMES = [0, 1, 2, 7, 8, 127, 255, 1 << 16, 1 << 31, (1 << 32) - 1, 1 << 40, 1 << 62, 1 << 63, (1 << 64) - 1]
WORDS = [b"null", b"-1", b"1e400", b"NaN", b"true", b'"x"', b"[]", b"{}", b"9" * 30, b"9" * 5000, b"[" * 3000, b"0.5"]


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    base = tmp_path_factory.mktemp("originals")
    kept = {"tokenizer": TOKENIZER, "generation": {"eos_token_id": [4]}}
    packed = tensors_for(TINY)
    write(base / "hugging_face", TINY, packed, **kept)
    write(base / "bfloat16", TINY, tensors_for(TINY, "bfloat16"))
    write(base / "sharded", TINY, packed, shard_bytes=8_000)
    write(base / "original", TINY, packed, "original")
    write(base / "gguf", TINY, packed, "gguf", **kept)
    write(base / "ollama", TINY, packed, "ollama")
    return {form: base / form for form in FORMS}


def flip(content: bytearray, at: int, chance: random.Random) -> None:
    content[at] ^= 1 << chance.randrange(8)


def overwrite(content: bytearray, at: int, chance: random.Random) -> None:
    content[at] = chance.randrange(256)


def extreme(content: bytearray, at: int, chance: random.Random) -> None:
    size = chance.choice([4, 8])
    content[at : at + size] = (chance.choice(EXTREMES) & ((1 << 8 * size) - 1)).to_bytes(size, "little")


def cut(content: bytearray, at: int, chance: random.Random) -> None:
    del content[at:]


def remove(content: bytearray, at: int, chance: random.Random) -> None:
    del content[at : at + chance.randrange(1, 64)]


def repeat(content: bytearray, at: int, chance: random.Random) -> None:
    part = content[at : at + chance.randrange(1, 64)]
    content[at:at] = part


def zero(content: bytearray, at: int, chance: random.Random) -> None:
    stop = min(len(content), at + chance.randrange(1, 64))
    content[at:stop] = bytes(stop - at)


def word(content: bytearray, at: int, chance: random.Random) -> None:
    """Another JSON value in place of one; lengths in front are kept true where there are any."""
    numbers = list(re.finditer(rb"-?\d+(\.\d+)?|true|false|null", bytes(content[:20_000])))
    if numbers:
        chosen = chance.choice(numbers)
        value = chance.choice(WORDS) if chance.random() < 0.5 else str(chance.choice(EXTREMES)).encode()
        content[chosen.start() : chosen.end()] = value
        if content[8:9] == b"{":
            length = int.from_bytes(content[:8], "little") + len(value) - (chosen.end() - chosen.start())
            content[:8] = max(0, length).to_bytes(8, "little")


MUTATIONS: list[Callable[[bytearray, int, random.Random], None]] = [
    flip,
    overwrite,
    extreme,
    cut,
    remove,
    repeat,
    zero,
    word,
    word,
]


def mutate(path: Path, chance: random.Random) -> None:
    """One to three changes to one file, most of them near its beginning, where the structure is."""
    files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    file = chance.choice(files)
    content = bytearray(file.read_bytes())
    for _ in range(chance.choice([1, 1, 2, 3])):
        if content:
            reach = len(content) if chance.random() < 0.2 else min(len(content), 4_000)
            chance.choice(MUTATIONS)(content, chance.randrange(reach), chance)
    file.write_bytes(content)


def read_all(path: Path) -> None:
    checkpoint = open_checkpoint(path)
    specs = expected_tensors(checkpoint.config, checkpoint.experts)
    assert list(checkpoint.tensors) == list(specs)
    for name, spec in specs.items():
        tensor = checkpoint.tensors[name]
        assert tensor.shape == spec.shape
        with np.errstate(all="ignore"):
            (decode(tensor) if isinstance(tensor, Packed) else tensor.astype(np.float32)).sum()


@pytest.mark.parametrize("form", FORMS)
def test_no_mutation_gets_past_the_reader(originals: dict[str, Path], tmp_path: Path, form: str):
    source, target = originals[form], tmp_path / "mutant"
    refused = 0
    for seed in range(ROUNDS // len(FORMS) + 1):
        shutil.rmtree(target, ignore_errors=True)
        target.unlink(missing_ok=True) if target.is_file() else None
        (shutil.copytree if source.is_dir() else shutil.copy)(source, target)
        mutate(target, random.Random(f"{form} {seed}"))
        try:
            read_all(target)
        except OssiaError:
            refused += 1
        except BaseException as error:
            error.add_note(f"{form}, seed {seed}")
            raise
    # Most mutations hit structure: a fuzzer whose files are mostly accepted would be testing nothing.
    assert refused > ROUNDS // len(FORMS) // 4


def test_a_config_with_impossible_sizes_is_refused_before_anything_is_made_of_it(
    originals: dict[str, Path], tmp_path: Path
):
    for key in ("num_hidden_layers", "num_local_experts", "vocab_size"):
        target = tmp_path / key
        shutil.copytree(originals["hugging_face"], target)
        text = (target / "config.json").read_text()
        (target / "config.json").write_text(re.sub(rf'"{key}": \d+', f'"{key}": {10**30}', text))
        with pytest.raises(ConfigError, match=f"{key} is 1000000"):
            open_checkpoint(target)
