"""What a handler says is what a client gets."""

from __future__ import annotations

import http.client
import threading

import pytest

from tests.conftest import ServerStarter
from tests.servers import (
    Fate,
    Handler,
    LoopbackServer,
    Reply,
    close_without_answer,
    echo,
    garbage,
    hang,
    in_turn,
    reply,
    reset,
    truncated_body,
    truncated_chunk,
    truncated_headers,
)
from tests.servers.clients import (
    connect,
    connect_raw,
    get,
    read_to_end,
)


def test_request_is_kept_as_it_came(server: LoopbackServer) -> None:
    with connect(server) as client:
        client.request("POST", "/v1/items?a=b", b"body", {"X-Key": " spaced "})
        client.getresponse().read()

    (request,) = server.requests
    assert (request.method, request.target) == ("POST", "/v1/items?a=b")
    assert request.body == b"body"
    assert request.headers["x-key"] == "spaced"
    assert ("X-Key", "spaced") in request.headers.pairs
    assert request.headers["Host"] == server.authority
    assert request.server_name is None


def test_headers_are_found_whatever_their_case(server: LoopbackServer) -> None:
    with connect_raw(server) as client:
        client.sendall(b"GET / HTTP/1.0\r\nX-A: 1\r\nx-a: 2\r\n\r\n")
        read_to_end(client)

    headers = server.requests[0].headers
    assert headers.get_all("X-a") == ["1", "2"]
    assert "X-A" in headers
    assert headers.get("missing") is None
    with pytest.raises(KeyError, match="missing"):
        headers["missing"]


def test_chunked_upload_is_received_without_its_framing(server: LoopbackServer) -> None:
    server.handler = echo

    with connect(server) as client:
        client.request("PUT", "/", iter([b"some ", b"pieces"]), encode_chunked=True)
        body = client.getresponse().read()

    assert body == b"some pieces"
    assert server.requests[0].headers["Transfer-Encoding"] == "chunked"


def test_connection_is_kept_for_the_next_request(server: LoopbackServer) -> None:
    with connect(server) as client:
        get(client, "/1")
        get(client, "/2")
    with connect(server) as client:
        get(client, "/3")

    seen = [(request.target, request.connection) for request in server.requests]
    assert seen == [("/1", 1), ("/2", 1), ("/3", 2)]
    assert [request.number for request in server.requests] == [1, 2, 3]
    assert server.connections == 2


def test_connection_closes_if_either_side_says_so(start_server: ServerStarter) -> None:
    server = start_server(
        in_turn(reply(headers=[("Connection", "close")]), reply(body=b"bye"))
    )

    with connect_raw(server) as client:
        client.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert read_to_end(client).startswith(b"HTTP/1.1 200 OK\r\n")
    with connect_raw(server) as client:
        client.sendall(b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n")
        assert read_to_end(client).endswith(b"bye")


def test_reply_to_head_has_the_length_and_no_body(server: LoopbackServer) -> None:
    server.handler = reply(body=b"12345")

    with connect(server) as client:
        client.request("HEAD", "/")
        response = client.getresponse()
        assert response.read() == b""
        assert response.headers["Content-Length"] == "5"
        assert get(client) == b"12345"


def test_status_without_body_has_no_framing(server: LoopbackServer) -> None:
    server.handler = in_turn(reply(204), reply(body=b"next"))

    with connect(server) as client:
        client.request("GET", "/")
        response = client.getresponse()
        response.read()
        assert response.status == 204
        assert "Content-Length" not in response.headers
        assert get(client) == b"next"


def test_handlers_answer_in_turn_and_the_last_one_ever_after(
    server: LoopbackServer,
) -> None:
    server.handler = in_turn(reply(503), reply(), reply(429))
    statuses = []

    with connect(server) as client:
        for _ in range(4):
            client.request("GET", "/")
            response = client.getresponse()
            response.read()
            statuses.append(response.status)

    assert statuses == [503, 200, 429, 429]


def test_pieces_are_sent_as_they_come(server: LoopbackServer) -> None:
    gate = threading.Event()
    server.handler = reply(body=[b"first", gate, b"second"])

    with connect(server) as client:
        client.request("GET", "/")
        response = client.getresponse()
        assert response.read1() == b"first"
        gate.set()
        assert response.read() == b"second"


def test_framing_of_the_handler_is_left_alone(server: LoopbackServer) -> None:
    server.handler = reply(body=[b"ab", b"cd"], headers=[("Content-Length", "4")])

    with connect(server) as client:
        client.request("GET", "/")
        response = client.getresponse()
        assert response.read() == b"abcd"
        assert "Transfer-Encoding" not in response.headers


def test_request_may_be_answered_before_its_body_is_read(
    start_server: ServerStarter,
) -> None:
    server = start_server(on_headers=reply(413))

    with connect(server) as client:
        client.request("POST", "/", b"x" * 1_000_000)
        response = client.getresponse()
        response.read()

    assert response.status == 413
    assert server.requests[0].body == b""


# Faults


def test_close_without_answer_sends_nothing(server: LoopbackServer) -> None:
    server.handler = close_without_answer

    with connect(server) as client, pytest.raises(http.client.RemoteDisconnected):
        get(client)

    assert len(server.requests) == 1


def test_reset_sends_a_rst(server: LoopbackServer) -> None:
    server.handler = reset

    with connect(server) as client, pytest.raises(ConnectionResetError):
        get(client)

    assert len(server.requests) == 1


@pytest.mark.parametrize("body", [truncated_body, truncated_chunk])
def test_truncated_body_ends_too_early(server: LoopbackServer, body: Handler) -> None:
    server.handler = body

    with connect(server) as client:
        client.request("GET", "/")
        response = client.getresponse()
        with pytest.raises(http.client.IncompleteRead):
            response.read()


def test_truncated_headers_end_in_the_middle(server: LoopbackServer) -> None:
    server.handler = truncated_headers

    with connect_raw(server) as client:
        client.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert read_to_end(client) == b"HTTP/1.1 200 OK\r\nContent-Le"


def test_garbage_is_not_http(server: LoopbackServer) -> None:
    server.handler = garbage

    with connect(server) as client, pytest.raises(http.client.BadStatusLine):
        get(client)


def test_body_can_be_cut_by_a_reset(server: LoopbackServer) -> None:
    gate = threading.Event()
    server.handler = reply(body=[b"half", gate, Fate.RESET])

    with connect(server) as client:
        client.request("GET", "/")
        response = client.getresponse()
        assert response.read1() == b"half"
        gate.set()
        with pytest.raises(ConnectionResetError):
            response.read()


def test_connection_may_close_silently_after_a_reply(server: LoopbackServer) -> None:
    server.handler = lambda _: Reply(body=b"last", then=Fate.CLOSE)

    with connect(server) as client:
        assert get(client) == b"last"
        server.wait_until(lambda server: not server.open_connections)
        with pytest.raises(ConnectionError):
            get(client)


@pytest.mark.parametrize("fate", [Fate.CLOSE, Fate.RESET])
def test_connection_may_end_before_anything_is_read(
    start_server: ServerStarter, fate: Fate
) -> None:
    server = start_server(on_accept=lambda number: fate if number == 1 else None)

    with connect_raw(server) as client:
        if fate is Fate.CLOSE:
            assert client.recv(1) == b""
        else:
            with pytest.raises(ConnectionResetError):
                client.recv(1)
    with connect(server) as second:
        get(second)

    assert server.connections == 2
    assert len(server.requests) == 1


def test_hang_ends_when_the_client_goes(server: LoopbackServer) -> None:
    server.handler = hang

    with connect(server) as client:
        client.request("GET", "/")
        server.wait_until(lambda server: len(server.requests) == 1)
        assert server.open_connections == 1

    server.wait_until(lambda server: not server.open_connections)
