"""TLS is real: names are asked for, certificates are checked."""

from __future__ import annotations

import contextlib
import ssl
from pathlib import Path

import pytest

from tests.certificates import Authority
from tests.conftest import ServerStarter
from tests.servers import (
    Fate,
    hang,
)
from tests.servers.clients import (
    connect_tls,
    names_of,
)


def test_tls_server_answers_and_tells_the_name_it_was_asked_for(
    start_server: ServerStarter, authority: Authority
) -> None:
    server = start_server(ssl_context=authority.server_context("orders"))

    with connect_tls(server, authority.client_context(), "orders") as client:
        client.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert client.recv(4096).startswith(b"HTTP/1.1 200 OK")

    assert server.url.startswith("https://")
    assert server.server_names == ["orders"]
    assert server.requests[0].server_name == "orders"


def test_certificate_for_another_name_is_refused_by_the_client(
    start_server: ServerStarter, authority: Authority
) -> None:
    server = start_server(ssl_context=authority.server_context("orders"))

    with (
        pytest.raises(ssl.SSLCertVerificationError, match="users"),
        connect_tls(server, authority.client_context(), "users"),
    ):
        pass

    server.wait_until(lambda server: not server.open_connections)
    assert server.server_names == ["users"]
    assert server.requests == []


def test_address_is_certified_and_not_asked_for_by_name(
    start_server: ServerStarter, authority: Authority
) -> None:
    server = start_server(ssl_context=authority.server_context("127.0.0.1"))

    with connect_tls(server, authority.client_context(), "127.0.0.1") as client:
        assert names_of(client) == {"127.0.0.1"}

    assert server.server_names == [None]


def test_authority_is_trusted_by_its_file_alone(
    start_server: ServerStarter, authority: Authority, ca_file: Path
) -> None:
    server = start_server(ssl_context=authority.server_context("orders"))

    with connect_tls(server, ssl.create_default_context(cafile=ca_file), "orders"):
        pass
    with (
        pytest.raises(ssl.SSLCertVerificationError),
        connect_tls(server, ssl.create_default_context(), "orders"),
    ):
        pass


def test_certificate_is_chosen_by_the_name_asked_for(
    start_server: ServerStarter, authority: Authority
) -> None:
    users = authority.server_context("users")
    server = start_server(
        ssl_context=authority.server_context("orders", by_server_name={"users": users})
    )

    for name in ("orders", "users"):
        with connect_tls(server, authority.client_context(), name) as client:
            assert names_of(client) == {name}

    assert server.server_names == ["orders", "users"]


def test_client_certificate_is_required_where_said(
    start_server: ServerStarter, authority: Authority, tmp_path: Path
) -> None:
    server = start_server(
        ssl_context=authority.server_context("orders", require_client_certificate=True)
    )
    certified = authority.client_context()
    certified.load_cert_chain(authority.write_client_certificate(tmp_path, "caller"))

    with connect_tls(server, certified, "orders") as client:
        client.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert client.recv(4096).startswith(b"HTTP/1.1 200 OK")
    with (
        pytest.raises(OSError, match=r"(?i)certificate|reset|broken pipe"),
        connect_tls(server, authority.client_context(), "orders") as client,
    ):
        # In TLS 1.3 the client's handshake is over before the server has looked.
        client.recv(1)

    server.wait_until(lambda server: len(server.handshake_errors) == 1)


def test_killed_tls_server_cuts_open_connections(
    start_server: ServerStarter, authority: Authority
) -> None:
    server = start_server(hang, ssl_context=authority.server_context("orders"))

    with connect_tls(server, authority.client_context(), "orders") as client:
        client.sendall(b"GET / HTTP/1.1\r\n\r\n")
        server.wait_until(lambda server: len(server.requests) == 1)
        server.kill()
        # The RST may be faster than the FIN.
        with contextlib.suppress(ConnectionError):
            assert client.recv(1) == b""


def test_tls_connection_may_end_before_its_handshake(
    start_server: ServerStarter, authority: Authority
) -> None:
    server = start_server(
        ssl_context=authority.server_context("orders"), on_accept=lambda _: Fate.RESET
    )

    with (
        pytest.raises(OSError, match=r"(?i)reset|eof"),
        connect_tls(server, authority.client_context(), "orders"),
    ):
        pass

    assert server.server_names == []
