"""What a turn returns."""

from ossia.assistant import Kind, Turn, Usage
from ossia.harmony import Message


def test_a_turn_tells_its_texts_apart():
    said = (
        Message("assistant", "First.", channel="analysis"),
        Message("assistant", "{}", channel="commentary", recipient="functions.f"),
        Message("tool", "4", channel="commentary", name="functions.f"),
        Message("assistant", "Second.", channel="analysis"),
        Message("assistant", "Four.", channel="final"),
    )
    done = Turn(said, "stop", Usage(), (), 7)
    assert (done.reasoning, done.answer) == ("First.\n\nSecond.", "Four.")
    assert [call.recipient for call in done.calls] == ["functions.f"]
    assert Kind.of(said[2]) is Kind.OTHER


def test_usage_adds_up():
    assert Usage(1, 2, 3, 4) + Usage(10, 20, 30, 40) == Usage(11, 22, 33, 44)
