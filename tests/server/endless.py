"""Answers of nano's that end with the tokens allowed and not before."""

from functools import cache

from ossia.checkpoint import find, open_checkpoint
from ossia.loading import vocabulary_of

__all__ = ["no_control_tokens"]


@cache
def no_control_tokens() -> dict[str, int]:
    """The `logit_bias` of an answer without any."""
    control = vocabulary_of(open_checkpoint(find("nano"))).control
    return {str(token): -100 for token in control.values()}
