"""Where an attempt stood when it failed, and whose fault it was."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from urllib3 import HTTPSConnectionPool

from tests.certificates import Authority
from tests.conftest import ServerStarter
from tests.requests_adapter.conftest import Balance
from tests.requests_adapter.kit import DONE, InOrder, orders_at, outcomes_of
from tests.servers import LoopbackServer

TIMEOUT = (0.2, 0.2)  # seconds, to connect and to wait; nothing here takes any


def test_post_whose_handshake_hangs_goes_elsewhere(
    balance: Balance,
    start_server: ServerStarter,
    server: LoopbackServer,
    authority: Authority,
    ca_file: Path,
) -> None:
    # A server that speaks no TLS waits for the end of what it takes for a header.
    silent = f"https://{server.authority}"
    whole = start_server(ssl_context=authority.server_context("orders"))
    service = orders_at(silent, whole.url, strategy=InOrder([silent, whole.url]))

    response = balance(service).post(
        "http://orders/", data=b"once", timeout=TIMEOUT, verify=str(ca_file)
    )

    assert response.status_code == 200
    assert [request.body for request in whole.requests] == [b"once"]


def test_handshake_that_hangs_is_a_timeout_of_connecting(
    balance: Balance, server: LoopbackServer
) -> None:
    client = balance(f"https://{server.authority}")

    with pytest.raises(requests.ConnectTimeout, match="handshake"):
        client.get("http://orders/", timeout=TIMEOUT)


def test_body_that_raises_blames_no_backend(
    balance: Balance, server: LoopbackServer
) -> None:
    service = orders_at(server.url)

    def fail() -> Iterator[bytes]:
        yield b"part"
        raise OSError("the disk is gone")

    with pytest.raises(requests.ConnectionError, match="the disk is gone"):
        balance(service).put("http://orders/", data=fail())

    assert outcomes_of(service) == DONE


def test_pool_classes_of_the_users_own_are_left_alone(
    balance: Balance, server: LoopbackServer
) -> None:
    client = balance(f"https://{server.authority}")

    class Own(HTTPSConnectionPool):
        """A pool of the user's own."""

    manager = client.adapter.poolmanager
    manager.pool_classes_by_scheme = {**manager.pool_classes_by_scheme, "https": Own}

    with pytest.raises(requests.ReadTimeout):
        client.get("http://orders/", timeout=TIMEOUT)
