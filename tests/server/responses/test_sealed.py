"""Sealed reasoning: ours comes back, nothing else does."""

from hypothesis import given
from hypothesis import strategies as st

from ossia.server.clients import ANYONE, Client
from ossia.server.responses.sealed import seal, unseal

ME, YOU = Client("me", b"salt"), Client("you", b"pepper")


@given(st.text())
def test_what_was_sealed_comes_back_to_the_same_client(text: str):
    sealed = seal(text, ME)
    assert sealed.isascii()
    assert unseal(sealed, ME) == text
    assert unseal(sealed, YOU) is None
    assert unseal(sealed, ANYONE) is None


@given(st.text(min_size=1), st.data())
def test_no_other_character_goes_unnoticed(text: str, data: st.DataObject):
    sealed = seal(text, ME)
    place = data.draw(st.integers(0, len(sealed) - 1))
    other = data.draw(st.characters(codec="ascii").filter(lambda c: c != sealed[place]))
    changed = unseal(sealed[:place] + other + sealed[place + 1 :], ME)
    # The last character of base64 may have bits that say nothing.
    assert changed is None or (changed == text and place >= len(sealed) - 4)


@given(st.text())
def test_anything_else_is_not_ours(text: str):
    assert unseal(text, ME) is None
    assert unseal(f"ossia.1.{text}", ME) is None
