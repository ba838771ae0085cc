"""Tests cannot reach the network, and can reach this machine."""

import socket
from pathlib import Path

import pytest


@pytest.mark.parametrize("address", [("192.0.2.1", 80), ("example.org", 443), ("2001:db8::1", 80)])
def test_the_network_is_refused(address: tuple[str, int]):
    with pytest.raises(pytest.fail.Exception, match="tests use no network"):
        socket.create_connection(address, timeout=0.1)


def test_an_address_that_needs_no_lookup_is_refused_too():
    with socket.socket() as client, pytest.raises(pytest.fail.Exception, match=r"192\.0\.2\.1"):
        client.connect(("192.0.2.1", 80))


def test_this_machine_is_reached():
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        assert client.getpeername() == server.getsockname()


def test_a_unix_socket_is_reached(tmp_path: Path):
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
        server.bind(str(tmp_path / "socket"))
        server.listen()
        client.connect(str(tmp_path / "socket"))
