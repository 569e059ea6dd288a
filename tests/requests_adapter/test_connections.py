"""Connections: how long they are used, how many there are, and when they are closed."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import pytest
import requests
from urllib3 import HTTPConnectionPool

from lbtransport import ConfigurationError, LoadBalancer, options
from lbtransport._clock import ManualClock
from lbtransport._requests.pools import Lifetime, WatchedPool
from lbtransport.requests import LoadBalancingAdapter
from tests.certificates import Authority
from tests.conftest import ServerStarter
from tests.requests_adapter.conftest import Balance
from tests.requests_adapter.kit import (
    Balanced,
    KeyIsUrl,
    find_nothing,
    in_threads,
    orders_at,
)
from tests.servers import LoopbackServer, reply

# How long they are used


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


def _connections_used(server: LoopbackServer) -> list[int]:
    return [request.connection for request in server.requests]


@pytest.mark.parametrize(
    ("given", "idle", "used"),
    [
        pytest.param({}, 59.0, [1, 1], id="default, in time"),
        pytest.param({}, 60.0, [1, 2], id="default, too late"),
        pytest.param({"keepalive_expiry": 5}, 5.0, [1, 2], id="shorter"),
        pytest.param({"keepalive_expiry": 0}, 0.0, [1, 2], id="never kept"),
        pytest.param({"keepalive_expiry": None}, 1e9, [1, 1], id="for ever"),
    ],
)
def test_a_connection_is_used_again_while_it_was_not_idle_for_too_long(
    balance: Balance,
    server: LoopbackServer,
    clock: ManualClock,
    *,
    given: dict[str, float | None],
    idle: float,
    used: list[int],
) -> None:
    client = balance(orders_at(server.url, clock=clock), **given)

    client.get("http://orders/")
    clock.advance(idle)
    client.get("http://orders/")

    assert _connections_used(server) == used
    server.wait_until(lambda server: server.open_connections == 1)


def test_idle_means_since_the_end_of_the_last_body(
    balance: Balance, server: LoopbackServer, clock: ManualClock
) -> None:
    client = balance(orders_at(server.url, clock=clock))
    server.handler = reply(body=b"x" * 1_000_000)

    with client.get("http://orders/", stream=True) as response:
        clock.advance(100)
        _ = response.content
    clock.advance(59)
    client.get("http://orders/")

    assert _connections_used(server) == [1, 1]


def test_a_connection_that_is_too_old_gets_no_other_request(
    balance: Balance, server: LoopbackServer, clock: ManualClock
) -> None:
    client = balance(orders_at(server.url, clock=clock), max_connection_age=100)

    for _ in range(8):
        client.get("http://orders/")
        clock.advance(30)

    assert _connections_used(server) == [1, 1, 1, 1, 2, 2, 2, 2]


def test_the_age_counts_from_when_a_connection_was_opened_last(
    balance: Balance, server: LoopbackServer, clock: ManualClock
) -> None:
    client = balance(orders_at(server.url, clock=clock), max_connection_age=100)
    client.get("http://orders/")
    clock.advance(50)
    server.restart()
    client.get("http://orders/")
    clock.advance(59)

    client.get("http://orders/")

    assert _connections_used(server) == [1, 2, 2]


def test_an_expired_connection_is_verified_anew(
    balance: Balance,
    start_server: ServerStarter,
    clock: ManualClock,
    authority: Authority,
    ca_file: Path,
) -> None:
    server = start_server(ssl_context=authority.server_context("orders"))
    client = balance(orders_at(server.url, clock=clock))

    for _ in range(2):
        client.get("https://orders/", verify=str(ca_file))
        clock.advance(60)

    assert _connections_used(server) == [1, 2]
    assert server.server_names == ["orders", "orders"]


def test_connections_through_a_proxy_expire_as_well(
    balance: Balance, start_server: ServerStarter, clock: ManualClock
) -> None:
    proxy = start_server()
    service = orders_at("http://10.9.8.7", clock=clock)
    client = balance(service, use_proxies=True)
    client.session.proxies = {"http": proxy.url}

    for _ in range(2):
        client.get("http://orders/")
        client.get("http://orders/")
        clock.advance(60)

    assert _connections_used(proxy) == [1, 1, 2, 2]


def test_a_proxys_connections_are_kept_again_when_a_backend_returns(
    balance: Balance, start_server: ServerStarter
) -> None:
    proxy = start_server()
    service = orders_at("http://10.9.8.7")
    client = balance(service, use_proxies=True)
    client.session.proxies = {"http": proxy.url}
    client.get("http://orders/")

    service.update_backends([])
    service.update_backends(["http://10.9.8.7"])
    client.get("http://orders/")
    client.get("http://orders/")

    assert _connections_used(proxy) == [1, 2, 2]


def test_what_passes_through_is_kept_as_urllib3_keeps_it(
    balance: Balance, server: LoopbackServer
) -> None:
    client = balance(orders_at(), keepalive_expiry=0)

    client.get(server.url)
    client.get(server.url)

    assert server.connections == 1


class Plain(HTTPConnectionPool):
    """A pool of the user's own."""


def _use_own_pools(client: Balanced) -> None:
    manager = client.adapter.poolmanager
    manager.pool_classes_by_scheme = {**manager.pool_classes_by_scheme, "http": Plain}


def test_pools_of_the_users_own_keep_connections_as_they_like(
    balance: Balance, server: LoopbackServer
) -> None:
    service = orders_at(server.url)
    client = balance(service, keepalive_expiry=0)
    _use_own_pools(client)

    client.get("http://orders/")
    client.get("http://orders/")
    service.remove_backend(server.url)

    assert server.connections == 1
    server.wait_until(lambda server: server.open_connections == 0)


def test_without_urllib3s_hooks_connections_are_kept_as_urllib3_keeps_them(
    balance: Balance, server: LoopbackServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for hook in ("_get_conn", "_put_conn", "_make_request"):
        monkeypatch.delattr(WatchedPool, hook)
    client = balance(server.url, keepalive_expiry=0)

    client.get("http://orders/")
    client.get("http://orders/")

    assert server.connections == 1


@pytest.mark.parametrize("name", ["keepalive_expiry", "max_connection_age"])
@pytest.mark.parametrize("value", [-1, "60s", True, float("nan"), float("inf")])
def test_what_is_no_number_of_seconds_is_refused(name: str, value: Any) -> None:
    given: Any = {name: value}
    with pytest.raises(ConfigurationError, match=name):
        LoadBalancingAdapter(orders_at(), **given)


@pytest.mark.parametrize(
    "twin_of", [copy.deepcopy, lambda adapter: pickle.loads(pickle.dumps(adapter))]
)
def test_copies_keep_connections_as_long(twin_of: Any) -> None:
    adapter = LoadBalancingAdapter(
        find_nothing, keepalive_expiry=5, max_connection_age=7
    )

    twin = twin_of(adapter)

    assert twin._lifetime == adapter._lifetime
    assert twin._lifetime == Lifetime(keepalive_expiry=5, max_connection_age=7)


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
