"""Tools as the model and the grammar know them."""

from ossia.grammar import ToolRule
from ossia.server.ask import Ask, Tool


def test_a_tool_goes_by_its_full_name():
    tool = Tool(name="add", parameters={"type": "object"}, strict=True)
    assert tool.recipient == "functions.add"
    assert tool.rule == ToolRule(recipient="functions.add", parameters={"type": "object"}, strict=True)
    assert Tool(name="add", namespace="mcp").recipient == "mcp.add"


def test_a_custom_tool_takes_text():
    assert Tool(name="run", custom=True, regex="a+").rule == ToolRule(recipient="functions.run", text=True, regex="a+")


def test_masks_and_the_loop_detector_are_on_unless_told():
    ask = Ask(items=())
    assert ask.grammar
    assert ask.loop is not None
