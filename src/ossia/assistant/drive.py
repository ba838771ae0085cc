"""Running a turn with an engine at hand."""

from collections.abc import Callable, Generator
from typing import Any

from ossia.assistant.events import Answer, Began, CallTool, Drawn, Ended, Event, Generate, Proceed, Text, Turn, Want
from ossia.engine import Engine, Output
from ossia.harmony import Message

__all__ = ["drive"]


def drive(
    steps: Generator[Want | Event, Answer, Turn],
    engine: Engine,
    *,
    call_tool: Callable[[Message], tuple[Message, ...]] | None = None,
    stopped: Callable[[], bool] = lambda: False,
) -> Generator[Event, None, Turn]:
    """Run a turn with an engine that has nothing else to do; yields the events and returns the turn.

    `stopped` is asked before each step of the engine; once it is true, the turn ends with what there is. Closed early,
    it cancels what it has begun. Raises what `Engine.add` raises when the prompt cannot be honoured.
    """
    answer: Answer = None
    request: int | None = None
    try:
        while True:
            step = steps.send(answer)
            answer = None
            match step:
                case Generate(prompt, params, grammar):
                    options: dict[str, Any] = {} if grammar is None else {"grammar": grammar}
                    request = engine.add(prompt, params, rendered=True, **options)
                    answer = _next_output(engine, request, stopped)
                case Proceed() if request is not None:
                    answer = _next_output(engine, request, stopped)
                case CallTool(message) if call_tool is not None:
                    answer = call_tool(message)
                case Drawn() | Began() | Text() | Ended():
                    yield step
                case _:
                    raise TypeError(f"nothing here can answer {step}")
    except StopIteration as end:
        return end.value
    finally:
        if request is not None:
            engine.cancel(request)


def _next_output(engine: Engine, request: int, stopped: Callable[[], bool]) -> Output:
    while True:
        if stopped():
            engine.cancel(request)
        for output in engine.step():
            if output.request_id == request:
                return output
