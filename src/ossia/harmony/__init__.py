"""Harmony, the conversation format of gpt-oss: its tokens, its messages, rendering and parsing."""

from ossia.harmony.byte_pairs import O200K_PATTERN
from ossia.harmony.o200k import CONTROL_TOKENS
from ossia.harmony.vocabulary import Decoder, Vocabulary

__all__ = ["CONTROL_TOKENS", "O200K_PATTERN", "Decoder", "Vocabulary"]
