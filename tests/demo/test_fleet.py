from __future__ import annotations

import json
import os
import signal
import socket
import urllib.request
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from lbtransport._demo.fleet import Fleet, FleetError, Server, ServerPlan


def ask(server: Server) -> str:
    with urllib.request.urlopen(server.backend.url, timeout=30) as response:
        return str(json.load(response)["server"])


def connect(server: Server) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=30)


@pytest.fixture
def fleet() -> Iterator[Fleet]:
    with Fleet((ServerPlan("a", delay=0), ServerPlan("b", delay=0.01))) as fleet:
        yield fleet


def test_each_server_answers_with_its_name(fleet: Fleet) -> None:
    assert [ask(server) for server in fleet.servers.values()] == ["a", "b"]
    assert [fleet.names[fleet[name].backend] for name in "ab"] == ["a", "b"]


def test_killed_server_refuses_connections_and_starts_again_on_its_port(
    fleet: Fleet,
) -> None:
    victim, port = fleet["b"], fleet["b"].port

    victim.kill()
    with pytest.raises(ConnectionRefusedError):
        connect(victim)
    assert victim.pid is None
    assert not victim.is_up
    victim.start()
    victim.wait_up()

    assert victim.port == port
    assert ask(victim) == "b"


def test_fleet_leaves_no_process_and_no_open_port() -> None:
    with Fleet((ServerPlan("a", delay=0), ServerPlan("b", delay=0))) as fleet:
        fleet["b"].kill()
        connection = connect(fleet["a"])
        connection.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert connection.recv(4096).endswith(b'{"server": "a"}')

    with connection:
        assert connection.recv(1) == b""  # the server ended it
    for server in fleet.servers.values():
        assert server.pid is None
        with pytest.raises(ConnectionRefusedError):
            connect(server)


def test_server_that_cannot_start_is_an_error_and_ends_the_others(
    refused_url: str, capfd: pytest.CaptureFixture[str]
) -> None:
    fleet = Fleet((ServerPlan("a", delay=0), ServerPlan("b", delay=0)))
    fleet["b"].port = urlsplit(refused_url).port or 0  # somebody else's

    with pytest.raises(FleetError, match="server 'b' did not start"):
        fleet.__enter__()

    assert fleet["a"].pid is None
    assert "Error" in capfd.readouterr().err


def test_waiting_for_a_server_ends() -> None:
    server = Server(ServerPlan("a", delay=0))
    server.start()

    try:
        with pytest.raises(FleetError, match="did not start"):
            server.wait_up(timeout=0)
    finally:
        server.close()


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="nothing stops a process")
def test_server_that_does_not_end_is_killed() -> None:
    with Fleet((ServerPlan("a", delay=0),)) as fleet:
        server = fleet["a"]
        assert server.pid is not None
        os.kill(server.pid, signal.SIGSTOP)

        server.close(timeout=0)

        assert server.pid is None
