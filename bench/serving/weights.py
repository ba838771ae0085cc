"""One random checkpoint in the forms that both servers read: a folder for ours, GGUF for the rival.

Dense matrices are drawn so that bfloat16 and Q8_0 hold them exactly. The rival has them as ours has, in bfloat16, or in
Q8_0 as the published GGUF does: half of bfloat16's bytes for the very same values. Ours reads them in bfloat16 at
`exact`, in 8 bits at `fast`. Experts are MXFP4 everywhere.
"""

import json
import shutil
import subprocess
import sys
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gguf
import numpy as np

from ossia.checkpoint import open_checkpoint
from ossia.config import ModelConfig
from ossia.loading import parameters

CONFIGS = Path(__file__).parents[2] / "src/ossia/data/configs"
BFLOAT16, Q8_0 = "llama-server", "llama-server, Q8_0"
FORMS = {
    BFLOAT16: "the same in the same form (dense in bfloat16, experts in MXFP4)",
    Q8_0: "the same values in the published GGUF's form (dense in Q8_0)",
}
"""What the rival has, by what a server with it is called."""

NANO = Path(__file__).parents[2] / "src/ossia/data/nano"

SMALL = {
    "num_hidden_layers": 8,
    "hidden_size": 768,
    "intermediate_size": 768,
    "num_attention_heads": 16,
    "num_key_value_heads": 2,
}
"""20b with a third of its layers and 0.27 of its width; its experts, their number and its vocabulary's sort remain."""


def small_config() -> dict[str, Any]:
    """The published config made small, with nano's vocabulary, which is cut to what both servers read."""
    published = json.loads((CONFIGS / "20b.json").read_text("utf-8"))
    nano = json.loads((NANO / "config.json").read_text("utf-8"))
    layers = published["layer_types"][: SMALL["num_hidden_layers"]]
    own = {name: nano[name] for name in ("vocab_size", "eos_token_id", "pad_token_id")}
    return published | SMALL | own | {"layer_types": layers}


@dataclass(frozen=True)
class Files:
    """The checkpoint's folder, and its GGUF by what a server with it is called."""

    folder: Path
    rivals: dict[str, Path]


def made(folder: Path, full: bool, forms: Collection[str]) -> Files:
    """The checkpoint, and its GGUF in these of `FORMS`, made where they are missing.

    Q8_0 is made from bfloat16; where only Q8_0 is asked for, bfloat16 (14 GB of 20b) does not stay.
    """
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint = folder / "weights"
    if not checkpoint.exists():
        config = "20b" if full else str(_written(folder / "config.json", small_config()))
        _ossia("make-random", config, "--dense", "q8", "--out", str(checkpoint))
        if not full:
            for name in ("tokenizer.json", "tokenizer_config.json"):
                shutil.copy(NANO / name, checkpoint / name)
    files = {BFLOAT16: folder / "bfloat16.gguf", Q8_0: folder / "q8_0.gguf"}
    plain, missing = files[BFLOAT16], [form for form in forms if not files[form].exists()]
    if missing and not plain.exists():
        _ossia("convert", str(checkpoint), str(plain))
    if Q8_0 in missing:
        to_q8(plain, files[Q8_0])
    if BFLOAT16 not in forms:
        plain.unlink(missing_ok=True)
    return Files(checkpoint, {form: files[form] for form in forms})


def described(folder: Path) -> str:
    """The model in a checkpoint's folder, in words."""
    config = open_checkpoint(folder).config
    return (
        f"a random one of {config.num_hidden_layers} layers, width {config.hidden_size}, {config.num_local_experts} "
        f"experts and {config.vocab_size:,} tokens of vocabulary ({parameters(config) / 1e6:,.0f} million parameters)"
    )


def to_q8(source: Path, target: Path) -> None:
    """A GGUF with its bfloat16 matrices in Q8_0, and all else as it was. Raises ValueError where that would round."""
    reader = gguf.GGUFReader(source)
    made = target.with_suffix(".part")
    writer = gguf.GGUFWriter(made, reader.fields["general.architecture"].contents())
    for field in reader.fields.values():
        if field.name.startswith("GGUF.") or field.name == "general.architecture":
            continue
        inner = field.types[-1] if field.types[0] == gguf.GGUFValueType.ARRAY else None
        writer.add_key_value(field.name, field.contents(), field.types[0], inner)
    for tensor in reader.tensors:
        data, kind = _stored(tensor)
        writer.add_tensor(tensor.name, data, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    made.rename(target)


def _stored(tensor: Any) -> tuple[np.ndarray, Any]:
    kind = tensor.tensor_type
    if kind != gguf.GGMLQuantizationType.BF16:
        return tensor.data, kind
    values = gguf.dequantize(tensor.data, kind)
    packed = gguf.quantize(values, gguf.GGMLQuantizationType.Q8_0)
    if not np.array_equal(gguf.dequantize(packed, gguf.GGMLQuantizationType.Q8_0), values):
        raise ValueError(
            f"{tensor.name}: Q8_0 does not hold its values; a checkpoint of make-random --dense q8 is right"
        )
    return packed, gguf.GGMLQuantizationType.Q8_0


def _written(file: Path, config: dict[str, Any]) -> Path:
    ModelConfig.from_dict(config)
    file.write_text(json.dumps(config, indent=1), "utf-8")
    return file


def _ossia(*words: str) -> None:
    done = subprocess.run([sys.executable, "-m", "ossia", *words], stdout=subprocess.DEVNULL, check=False)
    if done.returncode:
        sys.exit(done.returncode)
