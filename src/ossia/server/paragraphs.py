"""Several messages as one text, for the APIs that have one field where Harmony has many messages."""

from dataclasses import dataclass, field

__all__ = ["Paragraphs"]


@dataclass
class Paragraphs:
    """Puts an empty line between the texts of messages that go into one field; messages without a text leave none."""

    _said: set[str] = field(default_factory=set)
    _begun: bool = False

    def begin(self) -> None:
        """A message begins."""
        self._begun = True

    def add(self, name: str, text: str) -> str:
        """What to put onto the field of this name for some more of the message's text."""
        gap = "\n\n" if self._begun and name in self._said else ""
        self._begun = False
        self._said.add(name)
        return gap + text
