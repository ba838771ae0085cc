"""Checkpoints: the published layouts read in place, written, converted and made at random.

    checkpoint = open_checkpoint("gpt-oss-20b")
    checkpoint.tensors["model.layers.0.mlp.experts.down_proj"]    # Packed, [32, 2880, 2880], a view of the file

tensors       which tensors a config calls for
safetensors   one safetensors file
layouts       where the two safetensors layouts keep each tensor
reader        open_checkpoint
writer, disk  write
"""

from ossia.checkpoint.checkpoint import Checkpoint, Vocabulary
from ossia.checkpoint.reader import open_checkpoint
from ossia.checkpoint.tensors import Experts, Spec, Tensor, active_parameters, expected_tensors
from ossia.checkpoint.writer import write
from ossia.mxfp4 import check_scales

__all__ = [
    "Checkpoint",
    "Experts",
    "Spec",
    "Tensor",
    "Vocabulary",
    "active_parameters",
    "check_scales",
    "expected_tensors",
    "open_checkpoint",
    "write",
]
