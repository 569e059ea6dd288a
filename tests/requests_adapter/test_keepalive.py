"""Connections: how long they are used."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import pytest
from urllib3 import HTTPConnectionPool

from lbtransport import ConfigurationError
from lbtransport._clock import ManualClock
from lbtransport._requests.pools import Lifetime, WatchedPool
from lbtransport.requests import LoadBalancingAdapter
from tests.certificates import Authority
from tests.conftest import ServerStarter
from tests.requests_adapter.conftest import Balance
from tests.requests_adapter.kit import (
    Balanced,
    find_nothing,
    orders_at,
)
from tests.servers import LoopbackServer, reply


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
