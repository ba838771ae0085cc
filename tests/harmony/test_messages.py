import json
from typing import Any

import openai_harmony
import pytest
from hypothesis import given

from ossia.errors import ConversationError
from ossia.harmony import Conversation, DeveloperContent, Effort, Message, SystemContent
from tests.harmony.makers import Maker, seeds, tries


@tries(200)
@given(seed=seeds)
def test_the_json_form_survives(seed: int) -> None:
    conversation = Conversation.from_json(Maker(seed).conversation())
    assert Conversation.from_json(json.loads(json.dumps(conversation.to_json()))) == conversation


def test_the_judge_reads_our_json_form(judge: openai_harmony.HarmonyEncoding) -> None:
    @tries(200)
    @given(seed=seeds)
    def check(seed: int) -> None:
        value = Maker(seed).conversation()
        ours = Conversation.from_json(value).to_json()
        read = [openai_harmony.Conversation.from_json(json.dumps(form)) for form in (value, ours)]
        assert judge.render_conversation(read[0]) == judge.render_conversation(read[1])

    check()


def test_missing_fields_have_the_judges_defaults() -> None:
    value = {"messages": [{"role": "system", "content": [{"type": "system_content"}]}]}
    assert Conversation.from_json(value).messages[0].content == SystemContent()
    theirs = openai_harmony.SystemContent()
    assert Conversation.from_json(value).to_json()["messages"][0]["content"][0] == {  # pyright: ignore[reportIndexIssue]
        "type": "system_content",
        "tools": {},
        **theirs.model_dump(mode="json", exclude={"tools"}),
    }


def test_efforts_have_four_levels() -> None:
    content: Any = {"type": "system_content"}
    for name, effort in [("None", Effort.NONE), ("Low", Effort.LOW), ("High", Effort.HIGH), (None, None)]:
        read = SystemContent.from_json(content | {"reasoning_effort": name}, "")
        assert read.reasoning_effort == effort
        assert read.to_json()["reasoning_effort"] == name


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ([], "this would be an object, found the list []"),
        (None, "this would be an object, found null"),
        ({"messages": None}, "messages: this would be a list, found null"),
        ({}, "messages: this would be a list, found nothing"),
        ({"messages": [], "more": 1}, "more: there is no field of this name"),
        ({"messages": [1]}, "messages[0]: this would be an object, found the number 1"),
        ({"messages": [{"content": ""}]}, "messages[0].role: this would be a string, found nothing"),
        ({"messages": [{"role": "bot", "content": ""}]}, "messages[0].role: this would be one of system, developer"),
        ({"messages": [{"role": "user"}]}, "messages[0].content: this would be a string or a list"),
        ({"messages": [{"role": "user", "content": None}]}, "content: this would be a string or a list, found null"),
        (
            {"messages": [{"role": "user", "content": [{}]}]},
            "content[0].type: this would be text, system_content",
        ),
        ({"messages": [{"role": "user", "content": ["x"]}]}, "messages[0].content[0]: this would be an object"),
        ({"messages": [{"role": "user", "content": [{"type": "image"}]}]}, "messages[0].content[0].type"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages[0].content[0].text"),
        (
            {"messages": [{"role": "user", "content": "", "channel": 1}]},
            "messages[0].channel: this would be a string or",
        ),
        ({"messages": [{"role": "user", "content": "", "tokens": [1]}]}, "messages[0].tokens: there is no field"),
    ],
)
def test_what_is_no_conversation_is_named(value: object, words: str) -> None:
    with pytest.raises(ConversationError) as caught:
        Conversation.from_json(value)
    assert words in str(caught.value)
    assert not str(caught.value).startswith(":")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"reasoning_effort": "Huge"}, "at.reasoning_effort: this would be one of None, Low, Medium, High"),
        ({"reasoning_effort": 3}, "at.reasoning_effort: this would be a string or null, found the number 3"),
        ({"channel_config": {"valid_channels": [1], "channel_required": True}}, "at.channel_config.valid_channels[0]"),
        ({"channel_config": {"valid_channels": []}}, "at.channel_config.channel_required: this would be true or false"),
        ({"tools": []}, "at.tools: this would be an object or null"),
        ({"tools": {"f": {"name": "f"}}}, "at.tools.f.tools: this would be a list"),
        ({"tools": {"f": {"name": "f", "tools": [{"name": "g"}]}}}, "at.tools.f.tools[0].description"),
        ({"model": "x"}, "at.model: there is no field of this name"),
    ],
)
def test_what_is_no_system_content_is_named(content: dict[str, object], words: str) -> None:
    with pytest.raises(ConversationError) as caught:
        SystemContent.from_json({"type": "system_content", **content}, "at")
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("formats", "words"),
    [({}, "at.response_formats: this would be a list"), ([{"name": "x"}], "at.response_formats[0].schema")],
)
def test_what_is_no_response_format_is_named(formats: object, words: str) -> None:
    with pytest.raises(ConversationError) as caught:
        DeveloperContent.from_json({"response_formats": formats}, "at")
    assert words in str(caught.value)


def test_only_the_assistant_generates_tokens() -> None:
    with pytest.raises(ConversationError, match="tokens"):
        Message("user", "x", tokens=(1,))
    assert Message("assistant", "x", tokens=(1,)) == Message("assistant", "x")
    with pytest.raises(ConversationError, match="role"):
        Message("bot", "x")  # pyright: ignore[reportArgumentType]


def test_contents_and_text() -> None:
    message = Message("system", ("a", SystemContent(), "b"))
    assert message.text == "ab"
    assert message.contents == ("a", SystemContent(), "b")
    assert Message("user", "a").contents == ("a",)
