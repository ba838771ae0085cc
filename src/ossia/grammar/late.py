"""A grammar that is still being compiled: its tables are built while the model loads and reads the prompt."""

from collections.abc import Sequence
from concurrent.futures import Future

from ossia.grammar.tokens import Mask
from ossia.grammar.walk import Walk

__all__ = ["Late"]


class Late:
    """Takes the part of a Walk that `future` will give: what needs it waits for it, and nothing is forced before."""

    def __init__(self, future: "Future[Walk]") -> None:
        self._future = future

    @property
    def failure(self) -> str | None:
        """Why the answer cannot go on, if it cannot."""
        return self._future.result().failure if self._future.done() else None

    def fill_mask(self, mask: Mask) -> None:
        """Set the bits of the tokens that may come next."""
        self._future.result().fill_mask(mask)

    def accept(self, token: int) -> bool:
        """Take one token; False if it may not come next."""
        return self._future.result().accept(token)

    def rollback(self, count: int) -> None:
        """Take back the last `count` tokens accepted."""
        if count:
            self._future.result().rollback(count)

    def forced(self) -> Sequence[int]:
        """The tokens that must come next, as far as that is known yet."""
        return self._future.result().forced() if self._future.done() else ()
