"""A conversation with a loaded model, as the verbs that talk hold it."""

import argparse
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from types import FrameType
from typing import Any

from ossia.assistant import Event, Turn, opening
from ossia.cli import _options
from ossia.cli._display import Progress, one_line
from ossia.cli._pulling import located
from ossia.engine import SamplingParams
from ossia.errors import ContextLengthError
from ossia.harmony import Conversation, Effort, Message
from ossia.pipeline import Model, load

__all__ = ["Session", "interruptible"]

SAMPLING = ("max_tokens", "temperature", "top_p", "top_k", "min_p", "seed")


class Session:
    """What has been said, and how the next answer is to be made."""

    def __init__(
        self, model: Model, params: SamplingParams, effort: Effort, system: str | None, date: str | None
    ) -> None:
        self.model = model
        self.params = params
        self.effort = effort
        self.system = system
        self.date = date
        self.messages: list[Message] = []

    @classmethod
    def open(cls, name: str, options: argparse.Namespace) -> "Session":
        """Load the model of that name and take over the options of `_options.add_answering` and `.add_running`."""
        wanted = {key: getattr(options, key) for key in SAMPLING if getattr(options, key) is not None}
        SamplingParams.from_dict(wanted)  # refused now or never: loading takes its time
        place = located(name)
        with Progress(f"loading {name}") as progress:
            progress.begin()
            model = load(place, context=options.context, **_options.computing(options))
        for line in [] if options.quiet else model.loaded.news:
            print(one_line(line), file=sys.stderr)
        effort = Effort(options.effort) if options.effort else model.defaults.effort
        return cls(model, model.sampling(wanted), effort, options.system, options.date)

    @property
    def conversation(self) -> Conversation:
        """All of it, as it would be rendered now."""
        return Conversation((*opening(self.effort, self.system, self.date), *self.messages))

    def ask(
        self,
        text: str,
        show: Callable[[Event], None],
        *,
        reading: Callable[[int, int], None] = lambda done, total: None,
    ) -> Turn:
        """The assistant's turn after the user's `text`. Ctrl-c ends it early; what was written until then stays.

        `reading` is told, while a long prompt is computed, how many of its tokens are and how many there are.
        On an error nothing was said. Raises ContextLengthError when the conversation has become too long.
        """

        def stopped() -> bool:
            done, total = self.model.engine.prefill
            if total:
                reading(done, total)
            return pressed()

        self.messages.append(Message("user", text))
        try:
            with interruptible() as pressed:
                turn = self._shown(self.model.stream(self.conversation, self.params, stopped=stopped), show)
        except ContextLengthError as error:
            self.messages.pop()
            raise ContextLengthError(f"{error}; {self._more_context()}") from error
        except BaseException:
            self.messages.pop()
            raise
        self.messages += turn.messages
        return turn

    def settings(self) -> dict[str, Any]:
        """Everything in effect."""
        sampling = {key: value for key, value in asdict(self.params).items() if key in SAMPLING}
        return self.model.settings() | {"effort": str(self.effort), "system": self.system, "date": self.date} | sampling

    @property
    def context(self) -> str:
        """The context in effect, in words that say when it is not all that the model was made for."""
        used, most = self.model.engine.context, self.model.loaded.config.max_position_embeddings
        return f"{used:,} tokens" if used == most else f"{used:,} of {most:,} tokens"

    def _more_context(self) -> str:
        used, most = self.model.engine.context, self.model.loaded.config.max_position_embeddings
        less = "a shorter prompt or a smaller --max-tokens is right"
        return less if used == most else f"{less}, or --context with up to the {most} that the model was made for"

    @staticmethod
    def _shown(events: Any, show: Callable[[Event], None]) -> Turn:
        while True:
            try:
                event = next(events)
            except StopIteration as end:
                return end.value
            show(event)


@contextmanager
def interruptible() -> Iterator[Callable[[], bool]]:
    """Within it, a first ctrl-c makes the function that it gives return True, and a second interrupts as usual.

    So that a step of the engine, whose books an exception could leave half-written, is finished first.
    """
    pressed = False

    def note(signum: int, frame: FrameType | None) -> None:
        nonlocal pressed
        if pressed:
            raise KeyboardInterrupt
        pressed = True

    before = signal.signal(signal.SIGINT, note)
    try:
        yield lambda: pressed
    finally:
        signal.signal(signal.SIGINT, before)
