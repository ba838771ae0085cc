"""Events to blocks."""

from ossia.assistant import Ended, Kind, Text, Usage
from ossia.harmony import Message
from ossia.server.messages.reply import Blocks, Whole, usage_of
from ossia.server.turns import Opened


def whole(*events: object, thinking: bool = True) -> tuple[Whole, Blocks]:
    blocks, found = Blocks(thinking), Whole()
    for event in events:
        for each in blocks.of(event):  # type: ignore[arg-type]
            found.add(each)
    return found, blocks


THOUGHT = (Opened(Kind.REASONING), Text(Kind.REASONING, "Hm."), Ended(Message("assistant", "Hm.", channel="analysis")))


def test_what_another_says_is_no_block():
    other = (Opened(Kind.OTHER), Text(Kind.OTHER, "Thanks"), Ended(Message("user", "Thanks")))
    assert whole(*other)[0].blocks == []


def test_reasoning_is_shown_or_kept():
    assert whole(*THOUGHT)[0].blocks[0]["thinking"] == "Hm."
    found, blocks = whole(*THOUGHT, thinking=False)
    assert (found.blocks, blocks.hidden) == ([], ["Hm."])


def test_cached_tokens_are_counted_apart():
    usage = usage_of(Usage(prompt_tokens=10, cached_tokens=4, generated_tokens=3))
    assert (usage["input_tokens"], usage["cache_read_input_tokens"], usage["output_tokens"]) == (6, 4, 3)
