"""Every error that Ossia raises on purpose.

    OssiaError
      + ConfigError              a model's configuration cannot be understood or cannot be right
      + CheckpointError          a file of weights is damaged, incomplete or of an unknown format
      |   - TensorError          one tensor of it is missing, unknown, or has another shape or dtype
      + VocabularyError          a tokenizer file cannot be read, or lacks a token that Harmony needs
      + ModelNotFoundError       no model goes by that name or path
      + ConversationError        a conversation given to the renderer is not one
      + RequestError             a request's parameters cannot be honoured
      |   - ContextLengthError   the prompt and the answer asked for do not fit the context
      |   - GrammarError         the structure asked for cannot be guaranteed
      + CapacityError            memory or disk is too small for what was asked
      + BackendError             a backend is not available here, or refuses its input
      + DownloadError            a model could not be fetched: network, server, a wrong checksum
      |   - CancelledError       whoever wanted the download stopped it
      + OverloadedError          more requests wait than may; trying again later is right
      + UnavailableError         the engine's process has ended, or takes no new requests before it ends

A message says what was wrong, what was found, and what would be right. All but BackendError, CapacityError,
DownloadError, OverloadedError and UnavailableError are also ValueError, since the caller's input is at fault. A model's
own output never raises any of these: it is repaired and reported (see `ossia.harmony`).
"""

__all__ = [
    "BackendError",
    "CancelledError",
    "CapacityError",
    "CheckpointError",
    "ConfigError",
    "ContextLengthError",
    "ConversationError",
    "DownloadError",
    "GrammarError",
    "ModelNotFoundError",
    "OssiaError",
    "OverloadedError",
    "RequestError",
    "TensorError",
    "UnavailableError",
    "VocabularyError",
]


class OssiaError(Exception):
    """The root of the tree above; the command line prints it as one line."""


class ConfigError(OssiaError, ValueError):
    """A model's configuration cannot be understood or cannot be right."""


class CheckpointError(OssiaError, ValueError):
    """A file of weights is damaged, incomplete or of an unknown format."""


class TensorError(CheckpointError):
    """One tensor of a checkpoint is missing, unknown, or has another shape or dtype than the config says."""


class VocabularyError(OssiaError, ValueError):
    """A tokenizer file cannot be read, or lacks a token that Harmony needs."""


class ModelNotFoundError(OssiaError, ValueError):
    """No model goes by that name or path."""


class ConversationError(OssiaError, ValueError):
    """A conversation given to the renderer is not one."""


class RequestError(OssiaError, ValueError):
    """A request's parameters cannot be honoured. `param` is the one at fault."""

    def __init__(self, message: str, *, param: str | None = None) -> None:
        super().__init__(message)
        self.param = param


class ContextLengthError(RequestError):
    """The prompt and the answer asked for do not fit the context."""


class GrammarError(RequestError):
    """The structure asked for cannot be guaranteed.

    `path` is the JSON pointer of what is at fault, in the schema of `where` (a tool's full name, or "answer"), and
    `keyword` the keyword there, if it is one. `param` is `where`, unless something else is at fault.
    """

    def __init__(
        self, message: str, *, where: str = "", path: str = "", keyword: str | None = None, param: str | None = None
    ) -> None:
        super().__init__(message, param=param or where or None)
        self.where, self.path, self.keyword = where, path, keyword


class CapacityError(OssiaError):
    """Memory or disk is too small for what was asked."""


class BackendError(OssiaError):
    """A backend is not available here, or refuses its input."""


class DownloadError(OssiaError):
    """A model could not be fetched: the network, the server, or a checksum was wrong."""


class CancelledError(DownloadError):
    """Whoever wanted the download stopped it; what has come is kept for the next time."""


class OverloadedError(OssiaError):
    """More requests wait than may. `retry_after` is in how many seconds there is likely to be room again."""

    def __init__(self, message: str, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class UnavailableError(OssiaError):
    """The engine's process has ended, or takes no new requests because it is about to."""
