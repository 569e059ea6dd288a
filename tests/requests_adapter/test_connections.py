"""Connections: how many there are, and when they are closed."""

from __future__ import annotations

from typing import Any

import pytest
import requests
from urllib3 import HTTPConnectionPool

from lbtransport import LoadBalancer, options
from lbtransport._requests.pools import WatchedPool
from lbtransport.requests import LoadBalancingAdapter
from tests.conftest import ServerStarter
from tests.requests_adapter.conftest import Balance
from tests.requests_adapter.kit import (
    KeyIsUrl,
    in_threads,
    orders_at,
)
from tests.servers import LoopbackServer, reply

# How many there are


def test_threads_open_no_more_connections_than_they_use_at_once(
    balance: Balance, start_server: ServerStarter
) -> None:
    threads_at_once, rounds = 8, 40
    servers = [start_server(reply(body=b"x")) for _ in range(12)]
    urls = [server.url for server in servers]
    service = orders_at(*urls, strategy=KeyIsUrl())
    client = balance(service)
    for server in servers:
        with options(key=server.url):
            at_once = [
                client.get("http://orders/", stream=True)
                for _ in range(threads_at_once)
            ]
        assert {response.content for response in at_once} == {b"x"}
    opened = sum(server.connections for server in servers)

    def work(number: int) -> None:
        for turn in range(rounds):
            with options(key=urls[(turn + number) % len(urls)]):
                client.get("http://orders/")

    in_threads(threads_at_once, work)

    requests_sent = threads_at_once * rounds
    opened_since = sum(server.connections for server in servers) - opened
    assert opened_since <= 0.01 * requests_sent


# When they are closed


def test_connections_of_a_removed_backend_are_closed_while_its_answers_are_kept(
    balance: Balance, server: LoopbackServer
) -> None:
    service = orders_at(server.url)
    client = balance(service)
    kept = [client.get("http://orders/") for _ in range(2)]

    service.remove_backend(server.url)

    server.wait_until(lambda server: server.open_connections == 0)
    assert [response.status_code for response in kept] == [200, 200]


def test_the_last_body_of_a_removed_backend_closes_its_connection(
    balance: Balance, server: LoopbackServer
) -> None:
    server.handler = reply(body=b"x" * 1_000_000)
    service = orders_at(server.url)
    client = balance(service)
    responses = [client.get("http://orders/", stream=True) for _ in range(3)]

    service.remove_backend(server.url)

    assert server.open_connections == 3
    for left, response in zip((2, 1, 0), responses, strict=True):
        assert len(response.content) == 1_000_000
        server.wait_until(lambda server, left=left: server.open_connections == left)  # type: ignore[misc]  # mypy on defaults


def test_closing_leaves_a_body_in_peace(
    balance: Balance, server: LoopbackServer
) -> None:
    server.handler = reply(body=b"x" * 1_000_000)
    client = balance(server.url)
    client.get("http://orders/")
    response = client.get("http://orders/", stream=True)

    client.session.close()
    client.session.close()

    assert len(response.content) == 1_000_000
    server.wait_until(lambda server: server.open_connections == 0)
    assert client.get("http://orders/").status_code == 200


class LateRemoval(LoadBalancingAdapter):
    """Removes its only backend between its selection and the connection to it."""

    service: LoadBalancer

    def build_connection_pool_key_attributes(self, *args: Any, **kwargs: Any) -> Any:
        self.service.update_backends([])
        return super().build_connection_pool_key_attributes(*args, **kwargs)


def test_backend_that_is_removed_while_it_is_connected_to_leaves_no_connection(
    server: LoopbackServer,
) -> None:
    service = orders_at(server.url)
    adapter = LateRemoval(service)
    adapter.service = service
    with requests.Session() as session:
        session.mount("http://", adapter)

        response = session.get("http://orders/")

        assert response.status_code == 200
        server.wait_until(lambda server: server.open_connections == 0)
        assert (adapter._routes._pools, adapter._routes._targets) == ({}, {})


@pytest.mark.parametrize("pool_block", [False, True])
def test_a_request_that_found_its_connections_before_they_were_closed_is_served(
    balance: Balance, server: LoopbackServer, *, pool_block: bool
) -> None:
    client = balance(server.url, pool_maxsize=1, pool_block=pool_block)
    client.get("http://orders/")
    send = WatchedPool.urlopen

    def close_first(pool: WatchedPool, *args: Any, **kwargs: Any) -> Any:
        client.adapter.close()
        return send(pool, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(WatchedPool, "urlopen", close_first)
        status = client.get("http://orders/").status_code

    assert status == 200
    server.wait_until(lambda server: server.open_connections == 0)


def test_a_connection_that_comes_back_while_all_are_closed_is_closed_too(
    balance: Balance, server: LoopbackServer
) -> None:
    client = balance(server.url)
    put = HTTPConnectionPool._put_conn

    def close_first(pool: HTTPConnectionPool, connection: Any) -> None:
        client.adapter.close()
        put(pool, connection)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(HTTPConnectionPool, "_put_conn", close_first)
        response = client.get("http://orders/")

    server.wait_until(lambda server: server.open_connections == 0)
    assert response.status_code == 200
