"""Checkpoints: the published layouts read in place, written, converted and made at random.

    checkpoint = open_checkpoint("gpt-oss-20b")
    checkpoint.tensors["model.layers.0.mlp.experts.down_proj"]    # Packed, [32, 2880, 2880], a view of the file

tensors        which tensors a config calls for
finding        from a model's name to its path, downloading it where it is missing
sources        where models come from: the hub, a registry, and the folders of other programs
checkpoint     what an open checkpoint is
reader         opens any layout; folder and gguf_layout each open one kind
layouts        where the two safetensors layouts keep each tensor
safetensors    one safetensors file
gguf           one GGUF file; gguf_metadata what it says of the config and the vocabulary
writer         writes any layout; folder_writer and gguf_writer each write one kind, over streams and disk
conversion     from one layout to another
random_weights random checkpoints
cached_files   what is made from a checkpoint and kept from one start to the next

What opens a checkpoint is imported at once. What downloads, writes or makes one is imported when it is first asked for:
a third of a start would else go by with HTTP and writers that answering never needs.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from ossia.checkpoint.checkpoint import Checkpoint, Vocabulary
from ossia.checkpoint.finding import find, find_config, find_or_pull, published_configs
from ossia.checkpoint.reader import open_checkpoint
from ossia.checkpoint.tensors import Experts, Spec, Tensor, active_parameters, expected_tensors
from ossia.mxfp4 import check_scales

if TYPE_CHECKING:
    from ossia.checkpoint.conversion import Conversion, convert, tensor_hash
    from ossia.checkpoint.random_weights import make_random
    from ossia.checkpoint.sources.inventory import models
    from ossia.checkpoint.sources.local import Local
    from ossia.checkpoint.sources.pulling import Pulling, pull
    from ossia.checkpoint.sources.removal import Removal, plan_removal, remove
    from ossia.checkpoint.sources.verdict import Verdict, judge
    from ossia.checkpoint.writer import write

__all__ = [
    "Checkpoint",
    "Conversion",
    "Experts",
    "Local",
    "Pulling",
    "Removal",
    "Spec",
    "Tensor",
    "Verdict",
    "Vocabulary",
    "active_parameters",
    "check_scales",
    "convert",
    "expected_tensors",
    "find",
    "find_config",
    "find_or_pull",
    "judge",
    "make_random",
    "models",
    "open_checkpoint",
    "plan_removal",
    "published_configs",
    "pull",
    "remove",
    "tensor_hash",
    "write",
]

_HOMES = {
    **dict.fromkeys(("Conversion", "convert", "tensor_hash"), "conversion"),
    "make_random": "random_weights",
    "models": "sources.inventory",
    "Local": "sources.local",
    **dict.fromkeys(("Pulling", "pull"), "sources.pulling"),
    **dict.fromkeys(("Removal", "plan_removal", "remove"), "sources.removal"),
    **dict.fromkeys(("Verdict", "judge"), "sources.verdict"),
    "write": "writer",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
