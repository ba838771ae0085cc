"""One effort, however it is spelt."""

import pytest

from ossia.errors import RequestError
from ossia.harmony import Effort
from ossia.server.effort import effort_in_text, resolve_effort


@pytest.mark.parametrize(
    ("given", "effort"),
    [
        ({}, None),
        ({"reasoning_effort": None, "think": None}, None),
        ({"reasoning_effort": "low"}, Effort.LOW),
        ({"reasoning.effort": "HIGH"}, Effort.HIGH),
        ({"think": False}, Effort.NONE),
        ({"think": True}, None),
        ({"think": "medium"}, Effort.MEDIUM),
        ({"think": True, "reasoning_effort": "low"}, Effort.LOW),
        ({"reasoning_effort": "minimal"}, Effort.LOW),
        ({"reasoning_effort": "xhigh"}, Effort.HIGH),
        ({"reasoning_effort": "low", "chat_template_kwargs.reasoning_effort": "low"}, Effort.LOW),
    ],
)
def test_every_spelling(given: dict[str, object], effort: Effort | None):
    assert resolve_effort(given) is effort


@pytest.mark.parametrize("value", ["lots", "", 3, 0.5, [], {"effort": "low"}])
def test_what_is_no_effort_is_refused_with_what_would_be(value: object):
    with pytest.raises(RequestError, match=r"reasoning_effort is .*low, medium, high"):
        resolve_effort({"reasoning_effort": value})


def test_contradictions_are_refused_by_name():
    with pytest.raises(RequestError, match="reasoning_effort low, think high"):
        resolve_effort({"reasoning_effort": "low", "think": "high"})


def test_a_line_in_the_instructions():
    assert effort_in_text("Be kind.\nReasoning: high\nBe brief.") is Effort.HIGH
    assert effort_in_text("reasoning effort: LOW") is Effort.LOW
    assert effort_in_text("Reasoning: low\nReasoning: medium") is Effort.MEDIUM
    assert effort_in_text("Your reasoning: high quality") is None
