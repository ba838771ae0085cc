"""Models by name: loaded when a request names them, kept while they are used, unloaded when they are in the way.

    async with models.lease("gpt-oss:20b") as served:
        ...                                     # it is not unloaded as long as this lasts

A name in a request is looked up among the models that are here, and never as a path. The default model is the
operator's: no client can unload it, only a want of memory.
"""

import asyncio
import difflib
import logging
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Protocol

from ossia.checkpoint import Checkpoint, find, open_checkpoint
from ossia.config import ModelConfig
from ossia.errors import (
    CheckpointError,
    ConfigError,
    ModelNotFoundError,
    OverloadedError,
    UnavailableError,
    VocabularyError,
)
from ossia.grammar import prepare
from ossia.harmony import Vocabulary
from ossia.loading import Defaults, available_bytes, default_precision, defaults_of, token_bytes, vocabulary_of
from ossia.ops import CacheDtype, Precision
from ossia.server.catalogue import known_as, without_path
from ossia.server.checks import Checks
from ossia.server.faults import RefusedError
from ossia.server.remote import EngineStatus, Launch, RemoteEngine, Tokens

__all__ = ["KEEP_ALIVE", "Listed", "Models", "Served", "Stopped", "name_of"]

Stopped = Literal["unloaded", "in use", "kept"]
"""What came of a wish to unload a model: it is not loaded (any more), it will be once nobody uses it, or it stays."""

KEEP_ALIVE = 300.0
"""Seconds that an idle model stays loaded. Source: Ollama's documentation, `keep_alive`."""

MOST_LOADED = 3
"""Models that are loaded at once. Source: Ollama's documentation, `OLLAMA_MAX_LOADED_MODELS` on a CPU."""

WORTHWHILE_CONTEXT = 8192
"""Idle models make room until a new one can have a context of so many tokens."""

RETRY_SECONDS = 10.0

Progress = Callable[[float], None]

_journal = logging.getLogger("ossia.server")


class Process(Tokens, Protocol):
    """What runs a model; in a server a RemoteEngine."""

    @property
    def settings(self) -> Mapping[str, Any]:
        """Backend, precision, what keys and values are kept as, and threads in effect."""
        ...

    @property
    def ended(self) -> "asyncio.Future[str]":
        """Done when it has ended; why."""
        ...

    def forget(self, salt: bytes | None = None) -> None:
        """Forget the prefixes kept for this salt, or all of them."""
        ...

    async def close(self, grace: float = 0.0) -> None:
        """End it, after at most so many seconds for what is under way."""
        ...

    def abort(self, why: str) -> None:
        """End it at once; what is under way raises UnavailableError."""
        ...


Start = Callable[[Launch, Progress | None], Awaitable[Process]]


@dataclass(frozen=True, eq=False, kw_only=True)
class Served:
    """A model that is loaded, as requests see it."""

    name: str
    tokens: Tokens
    vocabulary: Vocabulary
    defaults: Defaults
    settings: Mapping[str, Any]
    config: ModelConfig
    checkpoint: Checkpoint | None = field(default=None, repr=False)

    @cached_property
    def checks(self) -> Checks:
        """What was found out about clients' rules."""
        return Checks(self.vocabulary)


@dataclass(frozen=True, kw_only=True)
class Listed:
    """A model that is loaded, or being loaded (`done` below 1).

    `expires` is the time, in seconds since 1970, at which it is unloaded if nobody asks for it; None: not by itself.
    """

    name: str
    path: Path
    done: float
    users: int
    expires: float | None
    served: Served | None


class _Loaded:
    """One model on its way through being loaded, used, idle, unloaded."""

    def __init__(self, name: str, path: Path, keep_alive: float, *, pinned: bool) -> None:
        self.name = name
        self.path = path
        self.keep_alive = keep_alive
        self.pinned = pinned
        self.bytes = 0  # of its weights, once there is room for them
        self.users = 0
        self.used = time.monotonic()
        self.done = 0.0
        self.listeners: list[Progress] = []
        self.process: Process | None = None
        self.task: asyncio.Task[Served]
        self.timer: asyncio.TimerHandle | None = None

    @property
    def served(self) -> Served | None:
        """The model, once it is loaded."""
        finished = self.task.done() and not self.task.cancelled() and self.task.exception() is None
        return self.task.result() if finished else None

    @property
    def alive(self) -> bool:
        """Whether it is loaded or on its way there."""
        return not self.task.done() or (self.process is not None and not self.process.ended.done())

    @property
    def idle(self) -> bool:
        """Whether it can be unloaded."""
        return self.users == 0 and self.task.done()

    def tell(self, done: float) -> None:
        """Pass on how much of it is loaded."""
        self.done = done
        for listener in [*self.listeners]:
            listener(done)


class Models:
    """The models of one server. `launch` is how they are run, and which one is served by default.

    `name` is what that one is called; `local` gives the other models that are here, by every name they go by, and
    `refused` why some of those that are here cannot be run. `keep_alive` is for them, in seconds; the default one
    stays. At most `most` are loaded at once.
    """

    def __init__(
        self,
        launch: Launch,
        *,
        name: str | None = None,
        local: Callable[[], Mapping[str, Path]] = dict,
        refused: Callable[[], Mapping[str, str]] = dict,
        keep_alive: float = KEEP_ALIVE,
        most: int = MOST_LOADED,
        start: Start = RemoteEngine.start,
    ) -> None:
        self.default = name or name_of(launch.model)
        self._launch = launch
        self._local = local
        self._refused = refused
        self._keep_alive = keep_alive
        self._most = most
        self._start = start
        self._loaded: dict[Path, _Loaded] = {}
        self._unloading: set[asyncio.Task[None]] = set()
        self._closing: list[_Loaded] = []
        self._default_path: Path | None = None
        self._making_room = asyncio.Lock()
        self._closed = False
        self._was_loaded = False

    @property
    def ready(self) -> bool:
        """Whether requests can be answered: the default model is loaded, or was, and the next request loads it again.

        So one that was unloaded, or whose process has died, does not keep away the very request that would bring it
        back.
        """
        return self._was_loaded and not self._closed

    @property
    def closed(self) -> bool:
        """Whether the server is about to end."""
        return self._closed

    def names(self) -> list[str]:
        """The names that a request may use: the default one's first. Looks at the disk."""
        return list(dict.fromkeys([self.default, *sorted(self._local())]))

    def listed(self) -> list[Listed]:
        """The models that are loaded or being loaded, the last used first."""
        wall = time.time() - time.monotonic()
        return [
            Listed(
                name=each.name,
                path=each.path,
                done=1.0 if each.served else each.done,
                users=each.users,
                expires=None if math.isinf(each.keep_alive) else wall + each.used + each.keep_alive,
                served=each.served,
            )
            for each in sorted(self._all(), key=lambda each: -each.used)
        ]

    @asynccontextmanager
    async def lease(
        self, name: str | None = None, *, keep_alive: float | None = None, progress: Progress | None = None
    ) -> AsyncIterator[Served]:
        """The model of this name, loaded if it is not, for as long as the context lasts.

        `keep_alive` is how many seconds it stays loaded afterwards: 0 unloads it at once, a negative number keeps it;
        None leaves what was said before. The default one stays, whatever is said. `progress` is told how much of it is
        loaded, from 0 to 1.

        Raises ModelNotFoundError with the names there are, OverloadedError when others are in use and it has no room,
        UnavailableError when the server is about to end, and what loading raises; to one who has named the model,
        RefusedError in the place of errors about its files, of which only the journal tells.
        """
        model = await self._find(name)
        if keep_alive is not None and not model.pinned:
            model.keep_alive = math.inf if keep_alive < 0 else keep_alive
        model.users += 1
        if model.timer is not None:
            model.timer.cancel()
        try:
            yield await _waited(model, progress, named=name is not None)
        finally:
            model.users -= 1
            model.used = time.monotonic()
            self._rest(model)

    async def stop(self, name: str) -> Stopped:
        """Unload a model, as soon as nobody uses it; the default one stays."""
        path = await self._path(name)
        if path == await self._path(None):
            return "kept"
        model = self._loaded.get(path)
        if model is None or not model.alive:
            return "unloaded"
        model.keep_alive = 0.0
        self._rest(model)
        return "unloaded" if model.idle else "in use"

    async def is_default(self, name: str) -> bool:
        """Whether this name means the default model, by whatever of its names. Raises ModelNotFoundError."""
        return await self._path(name) == await self._path(None)

    async def status(self) -> dict[str, EngineStatus]:
        """How busy each loaded model is, by name."""
        serving = [each.served for each in self._all() if each.served is not None and each.alive]
        found = await asyncio.gather(*(each.tokens.status() for each in serving), return_exceptions=True)
        pairs = zip(serving, found, strict=True)
        return {each.name: status for each, status in pairs if isinstance(status, EngineStatus)}

    def forget(self, salt: bytes) -> None:
        """Forget in all models the prefixes computed for this client."""
        for each in self._all():
            if each.process is not None and each.alive:
                each.process.forget(salt)

    async def close(self, grace: float = 0.0) -> None:
        """Take no more requests, let those under way finish for at most so many seconds, and unload everything."""
        self._closed = True
        closing = self._all()
        self._closing += closing
        await asyncio.gather(*(self._unload(each, grace) for each in closing), *self._unloading)

    def abort(self, why: str) -> None:
        """Take no more requests, and let all that are under way raise UnavailableError, which says `why`."""
        self._closed = True
        for each in (*self._closing, *self._all()):
            each.task.cancel()
            if each.process is not None:
                each.process.abort(why)

    def _all(self) -> list[_Loaded]:
        return list(self._loaded.values())

    async def _find(self, name: str | None) -> _Loaded:
        (known, path), default = await self._known(name), await self._path(None)
        if self._closed:
            raise UnavailableError("the server is about to end and takes no new requests")
        model = self._loaded.get(path)
        if model is None or not model.alive:
            pinned = path == default
            known = self.default if pinned else known
            model = _Loaded(known, path, math.inf if pinned else self._keep_alive, pinned=pinned)
            model.task = asyncio.create_task(self._load(model), name=f"load {known}")
            model.task.add_done_callback(lambda task: self._settled(model, task))
            self._loaded[path] = model
        return model

    async def _path(self, name: str | None) -> Path:
        return (await self._known(name))[1]

    async def _known(self, name: str | None) -> tuple[str, Path]:
        """What the model of this name is called here, and where it lies. Raises ModelNotFoundError."""
        if not name or known_as(name, (self.default,)):
            if self._default_path is None:
                self._default_path = (await asyncio.to_thread(find, self._launch.model)).absolute()
            return self.default, self._default_path
        local = await asyncio.to_thread(self._local)
        if (known := known_as(name, local)) is None:
            if why := (await asyncio.to_thread(self._refused)).get(name):
                raise _unrunnable(name, why)
            known = list(dict.fromkeys([self.default, *sorted(local)]))
            near = difflib.get_close_matches(name, known, n=1)
            guess = f"; did you mean {near[0]!r}?" if near else "."
            raise ModelNotFoundError(f"no model is called {name!r:.200} here{guess} There are: {', '.join(known)}")
        return known, local[known].absolute()

    async def _load(self, model: _Loaded) -> Served:
        checkpoint = await asyncio.to_thread(open_checkpoint, model.path)
        async with self._making_room:
            await self._make_room(model, checkpoint)
            model.bytes = checkpoint.bytes
        described = asyncio.ensure_future(asyncio.to_thread(_described, checkpoint))
        try:
            model.process = process = await self._start(replace(self._launch, model=str(model.path)), model.tell)
            vocabulary, defaults = await described
        except BaseException:
            described.cancel()
            if model.process is not None:
                await model.process.close()
            raise
        return Served(
            name=model.name,
            tokens=process,
            vocabulary=vocabulary,
            defaults=defaults,
            settings=process.settings,
            config=checkpoint.config,
            checkpoint=checkpoint,
        )

    async def _make_room(self, model: _Loaded, checkpoint: Checkpoint) -> None:
        """Unload what is idle, the one unused for longest first, until there is a place and memory for another.

        Alone, it is tried all the same: loading says what does not fit, and weights may well be read from the disk.
        """
        while others := [each for each in self._all() if each.bytes]:
            taken = sum(each.bytes for each in others)
            if len(others) < self._most and _fits(checkpoint, self._launch, taken):
                return
            idle = [each for each in others if each.idle]
            if not idle:
                models = "model is" if len(others) == 1 else "models are"
                raise OverloadedError(
                    f"{len(others)} {models} loaded and in use ({', '.join(each.name for each in others)}); "
                    f"{model.name!r} has to wait for one of them",
                    RETRY_SECONDS,
                )
            await self._unload(min(idle, key=lambda each: (each.pinned, math.isinf(each.keep_alive), each.used)))

    def _settled(self, model: _Loaded, task: asyncio.Task[Served]) -> None:
        """A load is over: if it failed, the next request for the model begins another."""
        failed = task.cancelled() or task.exception() is not None
        if model.pinned:
            self._was_loaded = not failed
        if failed:
            self._drop(model)
        else:
            self._rest(model)

    def _rest(self, model: _Loaded) -> None:
        """Unload a model that nobody uses when its time is up."""
        if model.timer is not None:
            model.timer.cancel()
        if not model.idle or self._loaded.get(model.path) is not model or math.isinf(model.keep_alive):
            return
        model.timer = asyncio.get_running_loop().call_later(model.keep_alive, self._expire, model)

    def _expire(self, model: _Loaded) -> None:
        if model.idle:
            task = asyncio.create_task(self._unload(model), name=f"unload {model.name}")
            self._unloading.add(task)
            task.add_done_callback(self._unloading.discard)

    async def _unload(self, model: _Loaded, grace: float = 0.0) -> None:
        self._drop(model)
        model.task.cancel()
        await asyncio.wait([model.task])
        if model.process is not None:
            await model.process.close(grace)

    def _drop(self, model: _Loaded) -> None:
        if self._loaded.get(model.path) is model:
            del self._loaded[model.path]
        if model.timer is not None:
            model.timer.cancel()


async def _waited(model: _Loaded, progress: Progress | None, *, named: bool) -> Served:
    """The model when it is loaded; who gives up waiting does not stop the load for the others."""
    if progress is not None:
        progress(model.done)
        model.listeners.append(progress)
    try:
        return await asyncio.shield(model.task)
    except asyncio.CancelledError:
        if model.task.cancelled():
            raise UnavailableError(f"loading {model.name!r} was stopped: the server is about to end") from None
        raise
    except ModelNotFoundError as error:
        if not named:
            raise
        raise ModelNotFoundError(f"{model.name!r} was here and is gone") from error
    except (CheckpointError, ConfigError, VocabularyError) as error:
        if not named:
            raise
        _journal.error("%s cannot be run: %s", model.name, error)
        raise _unrunnable(model.name, without_path(str(error), model.path)) from error
    finally:
        if progress is not None:
            model.listeners.remove(progress)


def _described(checkpoint: Checkpoint) -> tuple[Vocabulary, Defaults]:
    vocabulary = vocabulary_of(checkpoint)
    prepare(vocabulary)  # a second of work for a large vocabulary, beside the load
    return vocabulary, defaults_of(checkpoint)


def _unrunnable(name: str, why: str) -> RefusedError:
    return RefusedError(f"{name!r} is here and cannot be run: {why}", param="model", code="model_not_runnable")


def _fits(checkpoint: Checkpoint, launch: Launch, taken: int) -> bool:
    """Whether a model's weights and a worthwhile context fit the memory that is free.

    `taken` are the weights of other models: mapped from their files they count as free, since they could be read again.
    """
    free, config = available_bytes(), checkpoint.config
    if free is None:
        return True
    context = min(WORTHWHILE_CONTEXT, config.max_position_embeddings)
    precision = Precision(launch.precision or default_precision(config))
    dtype = CacheDtype(launch.kv_cache_dtype or CacheDtype.of(precision))
    # The other backends round as asked and keep what they rounded in float32.
    stored = dtype if launch.backend == "native" else CacheDtype.F32
    cache = context * token_bytes(config, stored)
    return checkpoint.bytes + cache <= free - taken


def name_of(model: str) -> str:
    """What a model is called that was given by a path: its last part."""
    return Path(model).stem if Path(model).suffix == ".gguf" else Path(model).name if Path(model).is_dir() else model
