"""A server can be killed, restarted and closed, and leaves nothing behind."""

from __future__ import annotations

import http.client
import socket
import threading

import pytest

from tests.conftest import ServerStarter
from tests.servers import (
    PATIENCE,
    Answer,
    Fate,
    LoopbackServer,
    Request,
    echo,
    hang,
    in_turn,
    reply,
)
from tests.servers.clients import (
    connect,
    connect_raw,
    get,
)


def test_killed_server_refuses_and_cuts_open_connections(
    server: LoopbackServer,
) -> None:
    server.handler = in_turn(reply(), hang)

    with connect(server) as idle, connect(server) as waiting:
        get(idle)
        waiting.request("GET", "/")
        server.wait_until(lambda server: len(server.requests) == 2)
        server.kill()

        assert not server.is_running
        assert server.open_connections == 0
        with pytest.raises(ConnectionError):
            waiting.getresponse()
        with pytest.raises(ConnectionError):
            get(idle)
        with pytest.raises(ConnectionRefusedError), connect_raw(server):
            pass


def test_kill_does_not_wait_for_an_event_of_the_test(server: LoopbackServer) -> None:
    server.handler = reply(body=[b"half", threading.Event()])

    with connect(server) as client:
        client.request("GET", "/")
        response = client.getresponse()
        server.kill()
        with pytest.raises((ConnectionError, http.client.IncompleteRead)):
            response.read()


def test_restarted_server_has_its_port_and_its_memory(server: LoopbackServer) -> None:
    url = server.url

    for _ in range(20):
        with connect(server) as client:
            get(client)
            server.restart()

    assert server.url == url
    assert [request.number for request in server.requests] == list(range(1, 21))
    assert [request.connection for request in server.requests] == list(range(1, 21))


def test_killed_server_may_be_killed_again_and_a_running_one_not_started(
    server: LoopbackServer,
) -> None:
    with pytest.raises(RuntimeError, match="running already"):
        server.start()
    server.kill()
    server.kill()
    server.start()

    with connect(server) as client:
        get(client)


def test_handler_may_kill_its_own_server(server: LoopbackServer) -> None:
    def die(_: Request) -> Answer:
        server.kill()
        return Fate.CLOSE

    server.handler = die

    with connect(server) as client, pytest.raises(ConnectionError):
        get(client)


def test_mistake_in_a_handler_fails_the_test_that_made_it() -> None:
    def stumble(_: Request) -> Answer:
        raise LookupError("a mistake")

    server = LoopbackServer(stumble).start()
    with connect(server) as client, pytest.raises(http.client.RemoteDisconnected):
        get(client)

    with pytest.raises(ExceptionGroup) as failure:
        server.close()
    assert failure.group_contains(LookupError, match="a mistake")


def test_waiting_for_what_does_not_come_fails(
    server: LoopbackServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.servers.server.PATIENCE", 0.01)

    with pytest.raises(TimeoutError, match="waited"):
        server.wait_until(lambda server: server.connections == 1)


def test_closed_server_leaves_no_thread() -> None:
    before = set(threading.enumerate())

    with LoopbackServer(hang) as server, connect(server) as client:
        client.request("GET", "/")
        server.wait_until(lambda server: len(server.requests) == 1)

    # Fewer is fine: trio ends its own threads when it likes.
    assert set(threading.enumerate()) <= before


def test_many_connections_at_once_each_get_their_answer(
    start_server: ServerStarter,
) -> None:
    server = start_server(echo)
    answers: list[bytes] = []

    def ask(number: int) -> None:
        with connect(server) as client:
            for turn in range(10):
                client.request("POST", "/", b"%d.%d" % (number, turn))
                answers.append(client.getresponse().read())

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    expected = {b"%d.%d" % (number, turn) for number in range(20) for turn in range(10)}
    assert set(answers) == expected
    assert len(server.requests) == 200


def test_server_listens_on_ipv6_too(start_server: ServerStarter) -> None:
    if not socket.has_ipv6:
        pytest.skip("this Python has no IPv6")
    try:
        server = start_server(host="::1")
    except OSError as error:
        pytest.skip(f"this machine has no IPv6: {error}")

    with connect(server) as client:
        get(client)

    assert server.url == f"http://[::1]:{server.port}"


def test_three_servers_are_told_apart_by_their_answers(
    three_servers: list[LoopbackServer],
) -> None:
    bodies = []

    for server in three_servers:
        with connect(server) as client:
            bodies.append(get(client))

    assert bodies == [b"0", b"1", b"2"]


def test_refused_url_refuses(refused_url: str) -> None:
    host, _, port = refused_url.removeprefix("http://").partition(":")

    for _ in range(3):
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((host, int(port)), PATIENCE)


def test_held_port_is_given_to_nobody_else(server: LoopbackServer) -> None:
    server.kill()

    with (
        socket.socket() as other,
        pytest.raises(OSError, match="in use"),
    ):
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind((server.host, server.port))
