"""One turn of a conversation, without input or output: the loop that every frontend shares.

`turn` is a generator. It yields what it needs and is sent the answer; in between it yields events and is sent None:

    yields                      is sent
    Generate(prompt, ...)       the engine's first Output for this prompt
    Proceed()                   the engine's next Output for it, until one says that it is finished
    CallTool(message)           the messages with which the tool answers
    Drawn, Began, Text, Ended   None: events, to be shown or not

and it returns a `Turn`: the messages that were added, why it ended, what it used, what had to be repaired. Whoever
drives it decides how to wait: `drive` has an engine at hand and calls it, a server has an event loop, a test has no
model at all. To stop a turn, cancel the engine's request: the Output that says so ends the turn like any other, and
what was written until then stays. A turn may also end before its Output is finished (a stop string, a loop): its driver
then cancels the request.

events      what is yielded, sent and returned
reader      tokens to events
stops       stop strings, found as the text comes
repetition  telling that a model has begun to go in circles
turn        the generator
drive       its driver for an engine at hand
"""

from ossia.assistant.drive import drive
from ossia.assistant.events import (
    Answer,
    Began,
    CallTool,
    Drawn,
    DrawnToken,
    Ended,
    Event,
    Finish,
    Generate,
    Kind,
    Proceed,
    Text,
    Turn,
    Usage,
    Want,
)
from ossia.assistant.repetition import Loop
from ossia.assistant.turn import opening, turn

__all__ = [
    "Answer",
    "Began",
    "CallTool",
    "Drawn",
    "DrawnToken",
    "Ended",
    "Event",
    "Finish",
    "Generate",
    "Kind",
    "Loop",
    "Proceed",
    "Text",
    "Turn",
    "Usage",
    "Want",
    "drive",
    "opening",
    "turn",
]
