import openai_harmony

from ossia.harmony import BROWSER, PYTHON, Conversation, Message, SystemContent, Vocabulary, render


def test_builtin_tools_are_the_judges(vocabulary: Vocabulary, judge: openai_harmony.HarmonyEncoding) -> None:
    system = openai_harmony.SystemContent.new().with_browser_tool().with_python_tool()
    message = openai_harmony.Message.from_role_and_content(openai_harmony.Role.SYSTEM, system)
    expected = judge.render_conversation(openai_harmony.Conversation.from_messages([message]))
    content = SystemContent(tools={"python": PYTHON, "browser": BROWSER})
    assert render(Conversation((Message("system", content),)), vocabulary, as_="conversation") == expected
