"""What every test shares: no network, one thread for torch, and no stopwatch on a property."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

import ossia

# An editable install of another clone comes before everything on the path; its faults would be blamed on this one.
if not Path(ossia.__file__).is_relative_to(Path(__file__).parents[1]):
    raise pytest.UsageError(f"these tests would test {ossia.__file__}; `make develop` installs the tree they lie in")

# A property that is checked slowly on a busy machine still holds.
hypothesis.settings.register_profile("ossia", deadline=None, print_blob=True)
hypothesis.settings.load_profile("ossia")

# Two cores and small tensors: torch's own thread pool costs more than it brings.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# The judges among the libraries must not look for newer files than those they are given.
os.environ["HF_HUB_OFFLINE"] = "1"

LOOPBACK = ("127.", "localhost", "::1")


@pytest.fixture(autouse=True, scope="session")
def _no_network() -> Iterator[None]:
    """Refuse every connection that would leave the machine, so that no test comes to depend on one."""
    connect, lookup = socket.socket.connect, socket.getaddrinfo

    def guarded_connect(self: socket.socket, address: Any) -> None:
        if self.family != socket.AF_UNIX:
            _refuse_outside(address[0])
        connect(self, address)

    def guarded_lookup(host: Any, *arguments: Any, **options: Any) -> Any:
        _refuse_outside(host)
        return lookup(host, *arguments, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", guarded_connect)
        patch.setattr(socket, "getaddrinfo", guarded_lookup)
        yield


def _refuse_outside(host: str | bytes | None) -> None:
    name = host.decode() if isinstance(host, bytes) else host
    if name is not None and not name.startswith(LOOPBACK):
        pytest.fail(f"a test tried to reach {name}; tests use no network", pytrace=True)
