"""Clients that do as little as possible, to see what a server really sends."""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
from collections.abc import Iterator
from typing import cast

from tests.servers.server import PATIENCE, LoopbackServer


@contextlib.contextmanager
def connect(server: LoopbackServer) -> Iterator[http.client.HTTPConnection]:
    """Open a keep-alive connection."""
    client = http.client.HTTPConnection(server.host, server.port, timeout=PATIENCE)
    with contextlib.closing(client):
        client.connect()
        yield client


@contextlib.contextmanager
def connect_raw(server: LoopbackServer) -> Iterator[socket.socket]:
    """Open a bare connection."""
    with socket.create_connection((server.host, server.port), PATIENCE) as client:
        yield client


def get(client: http.client.HTTPConnection, target: str = "/") -> bytes:
    client.request("GET", target)
    return client.getresponse().read()


def read_to_end(client: socket.socket) -> bytes:
    return b"".join(iter(lambda: client.recv(4096), b""))


@contextlib.contextmanager
def connect_tls(
    server: LoopbackServer, context: ssl.SSLContext, name: str
) -> Iterator[ssl.SSLSocket]:
    """Open a TLS connection that asks for `name` and checks that it got it."""
    with (
        connect_raw(server) as plain,
        context.wrap_socket(plain, server_hostname=name) as secure,
    ):
        yield secure


def names_of(connection: ssl.SSLSocket) -> set[str]:
    certificate = connection.getpeercert()
    assert certificate
    alternatives = cast("tuple[tuple[str, str], ...]", certificate["subjectAltName"])
    return {name for _, name in alternatives}
