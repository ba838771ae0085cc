import pytest

from ossia.checkpoint.sources.selection import select
from ossia.errors import DownloadError

# What the published repository of gpt-oss-20b has.
PUBLISHED = [
    ".gitattributes", "LICENSE", "README.md", "USAGE_POLICY", "chat_template.jinja", "config.json",
    "generation_config.json", "metal/model.bin", "model-00000-of-00002.safetensors", "model-00001-of-00002.safetensors",
    "model-00002-of-00002.safetensors", "model.safetensors.index.json", "original/config.json", "original/dtypes.json",
    "original/model.safetensors", "special_tokens_map.json", "tokenizer.json", "tokenizer_config.json",
]  # fmt: skip


def test_of_the_published_repository_one_layout_is_fetched():
    chosen = select(PUBLISHED, None, "x")
    assert chosen[:3] == tuple(f"model-0000{part}-of-00002.safetensors" for part in range(3))
    assert {"config.json", "tokenizer.json", "generation_config.json", "model.safetensors.index.json"} <= set(chosen)
    assert not [name for name in chosen if "/" in name or name in ("README.md", "LICENSE")]


def test_one_whole_file_is_enough():
    assert select(["config.json", "model.safetensors", "adapter_model.safetensors"], None, "x") == (
        "model.safetensors",
        "config.json",
    )


def test_the_best_readable_gguf_is_chosen():
    files = ["a-Q4_K_M.gguf", "a-Q8_0.gguf", "a-mxfp4.gguf", "a-F16.gguf", "mmproj-a-F16.gguf", "README.md"]
    assert select(files, None, "x") == ("a-mxfp4.gguf",)
    assert select(files, "Q8_0", "x") == ("a-Q8_0.gguf",)


def test_all_parts_of_a_gguf_are_fetched():
    files = [f"Q8_0/a-Q8_0-0000{part}-of-00003.gguf" for part in (1, 2, 3)]
    assert select(files, None, "x") == tuple(files)
    with pytest.raises(DownloadError, match="2 of the 3 parts"):
        select(files[:2], None, "x")


def test_a_gguf_that_says_nothing_is_fetched():
    assert select(["model.gguf"], None, "x") == ("model.gguf",)


@pytest.mark.parametrize(
    ("files", "quant", "message"),
    [
        (["a-Q4_K_M.gguf", "a-Q5_K_M.gguf"], None, r"GGUF files of Q4_K_M, Q5_K_M; MXFP4.* are read here"),
        (["a-Q4_K_M.gguf", "a-Q8_0.gguf"], "Q4_K_M", "are read here. `ossia pull gpt-oss:20b`"),
        (["a-Q8_0.gguf"], "MXFP4", r"GGUF files of Q8_0"),
        (["a-Q8_0.gguf", "b-Q8_0.gguf"], None, "several GGUF models"),
        (["pytorch_model.bin", "config.json"], None, "pickled"),
        (["README.md"], None, "neither config.json"),
        ([], None, "neither config.json"),
        (["model.safetensors"], None, "neither config.json"),
    ],
)
def test_what_does_not_fit_is_refused(files: list[str], quant: str | None, message: str):
    with pytest.raises(DownloadError, match=message):
        select(files, quant, "some/model")
