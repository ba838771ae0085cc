"""Keys and the identities that follow from them."""

import hashlib
import hmac
from collections.abc import Iterable
from pathlib import Path

import pytest

from ossia.errors import ConfigError
from ossia.server import clients
from ossia.server.clients import ANYONE, Client, Keys
from tests.server.door import ALICE, BOB


def written(folder: Path, text: str, mode: int = 0o600) -> Path:
    file = folder / "keys"
    file.write_text(text)
    file.chmod(mode)
    return file


def test_a_key_is_its_owner():
    keys = Keys({"alice": ALICE, "bob": BOB})
    found = [client for client in (keys.client([ALICE]), keys.client([BOB])) if client]
    assert [client.id for client in found] == ["alice", "bob"]
    assert len({client.salt for client in found} | {ANYONE.salt}) == 3


@pytest.mark.parametrize(
    "offered", [[], [""], ["wrong"], [ALICE[:-1]], [ALICE + " "], [ALICE.upper()], ["\udcff" * 20]]
)
def test_nothing_else_is(offered: list[str]):
    assert Keys({"alice": ALICE}).client(offered) is None


def test_one_of_several_offered_keys_is_enough():
    assert Keys({"alice": ALICE}).client(["wrong", ALICE]) == Keys({"alice": ALICE}).client([ALICE])


def test_without_keys_everybody_is_anyone():
    assert Keys().client([]) is Keys().client([ALICE]) is ANYONE


def test_the_salt_follows_from_the_key_alone():
    # From the definition in the module's docstring and RFC 2104, with other names for the same key.
    digest = hashlib.sha256(ALICE.encode()).digest()
    salt = hmac.new(digest, b"ossia: the salt of a client's state", hashlib.sha256).digest()
    assert Keys({"alice": ALICE}).client([ALICE]) == Client("alice", salt)
    assert Keys({"other": ALICE, "bob": BOB}).client([ALICE]) == Client("other", salt)


def test_every_known_key_is_compared_whichever_is_offered(monkeypatch: pytest.MonkeyPatch):
    compared: list[bytes] = []
    compare = hmac.compare_digest
    monkeypatch.setattr(clients.hmac, "compare_digest", lambda a, b: compared.append(a) or compare(a, b))
    keys = Keys({f"client{number}": f"{ALICE}{number}" for number in range(10)})
    for number in (0, 9, 10):
        compared.clear()
        keys.client([f"{ALICE}{number}"])
        assert len(compared) == 10


def test_neither_keys_nor_their_hashes_are_shown():
    shown = repr(Keys({"alice": ALICE}))
    assert shown == "Keys(alice)"


def test_a_file_has_a_key_on_each_line(tmp_path: Path):
    keys = Keys.read(written(tmp_path, f"# ours\n\n alice:{ALICE}\nbob:{BOB}:with:colons\n"))
    assert len(keys) == 2
    assert keys.client([f"{BOB}:with:colons"])


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o644])
def test_a_file_that_others_may_touch_is_refused(tmp_path: Path, mode: int):
    with pytest.raises(ConfigError, match=r"keys: others may read or write it \(mode 6\d\d\); chmod 600 is right"):
        Keys.read(written(tmp_path, f"alice:{ALICE}", mode))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no API key in it"),
        ("# nothing\n", "no API key in it"),
        (ALICE, "key 1 has no name; NAME:KEY is right"),
        (f"alice:{ALICE}\n{BOB}", "key 2 has no name"),
        ("alice:short", "the API key of alice has 5 characters; at least 16"),
        ("alice:", "the API key of alice has 0 characters"),
        ("alice:with a space in the key", "without spaces"),
        (f"alice:{ALICE}ü", "of ASCII"),
        (f"al ice:{ALICE}", "'al ice' cannot name"),
        (f"alice:{ALICE}\nalice:{BOB}", "the name 'alice' is given twice"),
        (f"alice:{ALICE}\nbob:{ALICE}", "alice and bob have the same API key"),
    ],
)
def test_what_is_wrong_with_a_file_is_said_without_its_keys(tmp_path: Path, text: str, says: str):
    file = written(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        Keys.read(file)
    assert str(caught.value).startswith(str(file))
    assert says in str(caught.value)
    assert not any(secret in str(caught.value) for secret in (ALICE, BOB, "short", "in the key"))


@pytest.mark.parametrize("file", ["missing", "."])
def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path, file: str):
    with pytest.raises(ConfigError, match="not a readable file of API keys"):
        Keys.read(tmp_path / file)


@pytest.mark.parametrize(("text", "names"), [(ALICE, "key"), (f"a:{ALICE}, b:{BOB},", "a, b")])
def test_keys_in_the_environment(text: str, names: Iterable[str]):
    assert repr(Keys.parse(text, "OSSIA_API_KEYS")) == f"Keys({names})"


def test_an_empty_variable_is_not_a_server_without_keys():
    with pytest.raises(ConfigError, match="OSSIA_API_KEYS: no API key in it"):
        Keys.parse("", "OSSIA_API_KEYS")
