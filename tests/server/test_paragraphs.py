"""Messages that become one text have an empty line between them."""

from ossia.server.paragraphs import Paragraphs


def test_a_gap_stands_between_messages_of_one_field_only():
    found, paragraphs = {"content": "", "reasoning": ""}, Paragraphs()
    for name, parts in (
        ("reasoning", ["a", "b"]),
        ("content", ["c"]),
        ("content", []),
        ("reasoning", ["d"]),
        ("content", ["e", "f"]),
    ):
        paragraphs.begin()
        for part in parts:
            found[name] += paragraphs.add(name, part)
    assert found == {"content": "c\n\nef", "reasoning": "ab\n\nd"}
