import re

import hypothesis
import hypothesis.strategies as st
import pytest

from ossia.checkpoint.sources.names import (
    ALIASES,
    HubName,
    RegistryName,
    is_remote,
    names_a_published_model,
    parse,
    quant_of,
)
from ossia.errors import ModelNotFoundError


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("gpt-oss", HubName("openai/gpt-oss-20b")),
        ("gpt-oss:latest", HubName("openai/gpt-oss-20b")),
        ("gpt-oss:20b", HubName("openai/gpt-oss-20b")),
        ("GPT-OSS:120B", HubName("openai/gpt-oss-120b")),
        ("gpt-oss-safeguard:20b", HubName("openai/gpt-oss-safeguard-20b")),
        ("openai/gpt-oss-safeguard-20b", HubName("openai/gpt-oss-safeguard-20b")),
        ("openai/gpt-oss-20b", HubName("openai/gpt-oss-20b")),
        ("hf.co/org/name", HubName("org/name")),
        ("hf.co/org/name:Q8_0", HubName("org/name", quant="Q8_0")),
        ("org/name-GGUF:mxfp4", HubName("org/name-GGUF", quant="MXFP4")),
        ("org/name:UD-Q4_K_XL", HubName("org/name", quant="UD-Q4_K_XL")),
        ("org/name:v2", HubName("org/name", "v2")),
        ("org/name@refs/pr/3", HubName("org/name", "refs/pr/3")),
        ("org/name:latest", HubName("org/name")),
        ("https://huggingface.co/org/name/tree/v2", HubName("org/name", "v2")),
        ("https://huggingface.co/org/name/", HubName("org/name")),
        ("hf://org/name", HubName("org/name")),
        ("ollama://gpt-oss:20b", RegistryName("gpt-oss", "20b")),
        ("ollama://me/mine", RegistryName("mine", "latest", "me")),
        ("registry.ollama.ai/library/gpt-oss:20b", RegistryName("gpt-oss", "20b")),
        ("https://ollama.com/library/gpt-oss", RegistryName("gpt-oss")),
        ("mistral:7b", RegistryName("mistral", "7b")),
        ("ollama://localhost:5000/me/mine:x", RegistryName("mine", "x", "me", "localhost:5000")),
        ("ollama://hf.co/org/name:Q8_0", RegistryName("name", "Q8_0", "org", "hf.co")),
    ],
)
def test_what_names_stand_for(name: str, expected: HubName | RegistryName):
    assert parse(name) == expected


@pytest.mark.parametrize(
    "name",
    [
        "", " ", "a b", "../x", "a/../b", "org/..", "./x", "/etc/passwd", "org/name@/etc", "org/name@../../x",
        "org/name:a..b", "org--x/name", "hf.co/", "hf.co/x", "ollama://", "ollama://a/b/c/d", "ollama://../x",
        "org/name?x=1", "org/na\nme", "org/name:", "x" * 400, "a\0b", "ollama://x:../y", "örg/name", "-x/y",
        "org/name@a//b",
    ],
)  # fmt: skip
def test_what_is_no_name(name: str):
    with pytest.raises(ModelNotFoundError):
        parse(name)


def test_names_are_shown_short_and_mean_the_same():
    for name in ("org/name", "org/name@v2", "org/name:Q8_0"):
        assert str(parse(name)) == name
    for name in ("gpt-oss:20b", "me/mine:latest", "localhost:5000/me/mine:x"):
        assert str(parse(f"ollama://{name}")) == name


def test_only_what_can_be_no_slip_is_remote():
    remote = ["gpt-oss", "gpt-oss:20b", "org/name", "mistral:7b", "ollama://x", "hf.co/org/name", "20b"]
    assert [name for name in remote if not is_remote(name)] == []
    local = ["nano", "nanno", "./x", "/models/x", "a/b/c", "what is this", "", "model.gguf", "x" * 400]
    assert [name for name in local if is_remote(name)] == []


def test_published_models_are_known_by_one_word():
    assert all(names_a_published_model(alias) for alias in ALIASES)
    assert names_a_published_model("ollama://x")
    assert not names_a_published_model("Why:")


@pytest.mark.parametrize(
    ("file", "quant"),
    [
        ("gpt-oss-20b-mxfp4.gguf", "MXFP4"),
        ("gpt-oss-20b-MXFP4_MOE.gguf", "MXFP4_MOE"),
        ("x/gpt-oss-20b-Q4_K_M-00001-of-00002.gguf", "Q4_K_M"),
        ("gpt-oss-20b-UD-Q4_K_XL.gguf", "UD-Q4_K_XL"),
        ("gpt-oss-20b.Q8_0.gguf", "Q8_0"),
        ("gpt-oss-20b-F16.gguf", "F16"),
        ("gpt-oss-IQ4_NL.gguf", "IQ4_NL"),
        ("gpt-oss-20b.gguf", None),
    ],
)
def test_quantisations_stand_in_file_names(file: str, quant: str | None):
    assert quant_of(file) == quant


@hypothesis.given(st.text(alphabet="aB3-_.:/@ \0é", max_size=30) | st.text(max_size=30))
def test_any_text_is_a_safe_name_or_none(text: str):
    """What a name becomes part of, an address or a path, it cannot lead out of."""
    try:
        name = parse(text)
    except ModelNotFoundError:
        return
    parts = (name.repository, name.revision) if isinstance(name, HubName) else (name.host, name.namespace, name.tag)
    assert parse(str(name) if isinstance(name, HubName) else f"ollama://{name}") == name
    for part in (piece for whole in parts for piece in whole.split("/")):
        assert re.fullmatch(r"[\w][\w.:-]*", part)
        assert ".." not in part
