"""Stop strings: whatever the parts, the same cut."""

from hypothesis import given
from hypothesis import strategies as st

from ossia.assistant.stops import Passed, StopStrings

LETTERS = st.text("ab", max_size=12)


def pushed(stops: list[str], parts: list[str]) -> tuple[str, str | None]:
    watcher, shown = StopStrings(stops), ""
    for part in parts:
        text, stop = watcher.push(part)
        shown += text
        if stop is not None:
            return shown, stop
    return shown + watcher.finish(), None


def test_what_may_begin_a_stop_string_is_held_back():
    watcher = StopStrings(["</end>"])
    assert watcher.push("so </e") == Passed("so ", None)
    assert watcher.push("m") == Passed("</em", None)
    assert watcher.push("</end> more") == Passed("", "</end>")


def test_the_first_complete_one_counts():
    assert pushed(["bc", "abcd"], ["xabcd"]) == ("xa", "bc")
    assert pushed(["b", "ab"], ["xab"]) == ("x", "ab"), "both are complete at b: the earlier begin"


def test_an_empty_string_stops_nothing():
    assert pushed([""], ["text"]) == ("text", None)


@given(st.lists(st.text("ab", min_size=1, max_size=4), min_size=1, max_size=3), st.lists(LETTERS, max_size=6))
def test_the_parts_do_not_matter(stops: list[str], parts: list[str]):
    text = "".join(parts)
    assert pushed(stops, parts) == pushed(stops, [text]) == pushed(stops, list(text))


@given(st.lists(st.text("ab", min_size=1, max_size=4), min_size=1, max_size=3), st.lists(LETTERS, max_size=6))
def test_nothing_shown_holds_a_stop_string(stops: list[str], parts: list[str]):
    shown, stop = pushed(stops, parts)
    assert not any(each in shown for each in stops)
    assert "".join(parts).startswith(shown + (stop or ""))
    assert stop is not None or shown == "".join(parts)
