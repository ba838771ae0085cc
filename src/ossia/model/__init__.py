"""What gpt-oss is: its rotary angles, its weights, and one definition of the architecture over `ossia.ops`."""

from ossia.model.rope import angles, inverse_frequencies
from ossia.model.transformer import forward, hidden, layer, sample, unembed
from ossia.model.weights import Layer, Weights, prepare

__all__ = [
    "Layer",
    "Weights",
    "angles",
    "forward",
    "hidden",
    "inverse_frequencies",
    "layer",
    "prepare",
    "sample",
    "unembed",
]
