"""Reading JSON objects field by field, so that what is wrong is named by its path: `messages[2].content[0].text`."""

from collections.abc import Mapping
from typing import TypeVar, cast, overload

from ossia.errors import ConversationError
from ossia.json_words import MISSING, found

__all__ = ["Fields"]

T = TypeVar("T")


class Fields:
    """The fields of one JSON object at `path`, taken one by one; what is left at the end is unknown, an error.

    Every method raises ConversationError when the field is missing or of another type.
    """

    def __init__(self, value: object, path: str) -> None:
        if not isinstance(value, Mapping):
            where = f"{path}: " if path else ""
            raise ConversationError(f"{where}this would be an object, found {found(value)}")
        self._fields = dict(cast(Mapping[str, object], value))
        self._path = path

    def path(self, name: str) -> str:
        """Where the field stands."""
        return f"{self._path}.{name}" if self._path else name

    def text(self, name: str) -> str:
        """A string."""
        return self._typed(name, str, "a string", self._fields.pop(name, MISSING))

    @overload
    def optional_text(self, name: str) -> str | None: ...
    @overload
    def optional_text(self, name: str, default: str) -> str | None: ...
    def optional_text(self, name: str, default: str | None = None) -> str | None:
        """A string or null; `default` when the field is missing."""
        value = self._fields.pop(name, default)
        return None if value is None else self._typed(name, str, "a string or null", value)

    def flag(self, name: str) -> bool:
        """A boolean."""
        return self._typed(name, bool, "true or false", self._fields.pop(name, MISSING))

    def array(self, name: str) -> list[object]:
        """A list."""
        return cast(list[object], self._typed(name, list, "a list", self._fields.pop(name, MISSING)))

    def mapping(self, name: str) -> Mapping[str, object] | None:
        """An object or null; null when the field is missing."""
        value = self._fields.pop(name, None)
        if value is None:
            return None
        return cast(Mapping[str, object], self._typed(name, dict, "an object or null", value))

    def take(self, name: str, default: object = None) -> object:
        """Whatever stands there."""
        return self._fields.pop(name, default)

    def end(self) -> None:
        """Refuse the fields that nobody took."""
        for name in self._fields:
            raise ConversationError(f"{self.path(name)}: there is no field of this name")

    def _typed(self, name: str, kind: type[T], words: str, value: object) -> T:
        if not isinstance(value, kind):
            raise ConversationError(f"{self.path(name)}: this would be {words}, found {found(value)}")
        return value
