import pytest

from ossia.harmony.header import Header, Mark, Opening, Piece, read_header, salvage_header
from ossia.harmony.repairs import RepairKind


def pieces(first: str, *others: tuple[Mark, str]) -> list[Piece]:
    return [Piece("", first), *(Piece(mark, text) for mark, text in others)]


@pytest.mark.parametrize(
    ("first", "others", "header"),
    [
        ("assistant", [], Header("assistant")),
        ("user:alice", [], Header("user", "alice")),
        ("tool", [], Header("tool", "tool")),
        ("python", [], Header("tool", "python")),
        (
            "functions.f to=assistant",
            [("channel", "commentary")],
            Header("tool", "functions.f", "commentary", "assistant"),
        ),
        ("assistant to=f", [("channel", "final x")], Header("assistant", None, "final", "f", "x")),
        (
            "assistant",
            [("channel", "final to=f"), ("constrain", "x")],
            Header("assistant", None, "final", "f", "<|constrain|>x"),
        ),
        ("assistant f x", [], Header("assistant", None, None, "f", "x")),
    ],
)
def test_headers(first: str, others: list[tuple[Mark, str]], header: Header) -> None:
    assert read_header(pieces(first, *others), "start", "assistant") == (header, "", [])


@pytest.mark.parametrize(
    ("opening", "words", "header", "kinds"),
    [
        ("given", "", Header("assistant"), []),
        ("given", "assistant to=f", Header("assistant", recipient="f"), []),
        ("none", "user", Header("user"), []),
        ("none", "words of a text", Header("assistant"), [RepairKind.UNEXPECTED_TEXT]),
        ("start", "assistantto=f", Header("assistant", recipient="f"), [RepairKind.HEADER_FORM]),
        ("start", "assistant a b c", Header("assistant"), [RepairKind.UNEXPECTED_TEXT]),
        ("start", "assistant x to=f", Header("assistant", None, None, "f", "x"), [RepairKind.HEADER_FORM]),
        ("start", "assistant to=a to=b", Header("assistant", recipient="b"), [RepairKind.DUPLICATE_RECIPIENT]),
    ],
)
def test_headers_that_are_not_quite(opening: Opening, words: str, header: Header, kinds: list[RepairKind]) -> None:
    reading = read_header(pieces(words), opening, "assistant")
    assert reading.header == header
    assert [kind for kind, _ in reading.found] == kinds


@pytest.mark.parametrize(
    ("opening", "first", "others", "header", "content"),
    [
        ("given", " Hi  there", [], Header("assistant"), "Hi  there"),
        ("start", "assistant Hi", [], Header("assistant"), "Hi"),
        ("start", "assistants say", [], Header("assistant"), "assistants say"),
        ("none", "user says", [], Header("assistant"), "user says"),
        ("none", "user", [("channel", "final")], Header("user", channel="final"), ""),
        ("given", "", [("channel", "analysisWe go")], Header("assistant", channel="analysis"), "We go"),
        ("given", " to=f.g{}", [], Header("assistant", recipient="f.g"), "{}"),
        (
            "given",
            "",
            [("channel", "commentary to=f.g "), ("constrain", 'json {"a": 1}')],
            Header("assistant", None, "commentary", "f.g", "<|constrain|>json"),
            '  {"a": 1}',
        ),
    ],
)
def test_what_has_no_message_token_is_salvaged(
    opening: Opening, first: str, others: list[tuple[Mark, str]], header: Header, content: str
) -> None:
    reading = salvage_header(pieces(first, *others), opening, "assistant")
    assert reading.header == header
    assert reading.content == content.removeprefix(" ")
