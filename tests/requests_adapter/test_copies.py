"""Copies of an adapter, by copy and by pickle, and adapters from the environment."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import requests

from lbtransport.requests import LoadBalancingAdapter, mount
from tests.requests_adapter.conftest import Balance
from tests.requests_adapter.kit import (
    Recorder,
    find_nothing,
    orders_at,
    outcomes_of,
)
from tests.servers import LoopbackServer


def test_a_deep_copy_shares_the_balancer_and_no_connection(
    balance: Balance, server: LoopbackServer
) -> None:
    service = orders_at(server.url)
    client = balance(service, use_proxies=True, pool_maxsize=3)
    client.get("http://orders/")

    with copy.deepcopy(client.session) as twin:
        response = twin.get("http://orders/")

    assert response.status_code == 200
    assert server.connections == 2
    assert outcomes_of(service) == (2, 0, 0)
    adapter: Any = twin.get_adapter("http://orders/")
    assert adapter.poolmanager.connection_pool_kw["maxsize"] == 3
    assert adapter is not client.adapter
    assert adapter is twin.get_adapter("https://orders/")


def test_a_service_mounted_on_a_copy_is_not_mounted_on_the_original(
    balance: Balance, three_servers: list[LoopbackServer]
) -> None:
    client = balance(orders_at(three_servers[0].url), passthrough=Recorder())
    twin = copy.deepcopy(client.session)

    mount(twin, orders_at(three_servers[1].url, name="users"))

    assert [twin.get(f"http://{n}/").text for n in ("orders", "users")] == ["0", "1"]
    assert client.get("http://users/").status_code == 299
    twin.close()


def test_an_adapter_with_balancers_says_why_it_cannot_be_pickled(
    balance: Balance, server: LoopbackServer
) -> None:
    client = balance(server.url)

    with pytest.raises(TypeError, match="environment"):
        pickle.dumps(client.session)


@pytest.fixture
def environment(server: LoopbackServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LBTRANSPORT_SERVICES", "orders")
    monkeypatch.setenv("LBTRANSPORT_ORDERS_BACKENDS", server.url)


@pytest.mark.usefixtures("environment")
def test_the_environment_is_enough(server: LoopbackServer) -> None:
    with requests.Session() as session:
        mount(session)
        mount(session)
        response = session.get("http://orders/")

    assert response.status_code == 200
    assert server.requests[0].headers["Host"] == "orders"


@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize(
    "twin_of", [copy.deepcopy, lambda session: pickle.loads(pickle.dumps(session))]
)
def test_an_adapter_from_the_environment_reads_it_again(
    server: LoopbackServer, twin_of: Callable[[requests.Session], requests.Session]
) -> None:
    with requests.Session() as session:
        mount(session, allow_plaintext=True)
        with twin_of(session) as twin:
            response = twin.get("https://orders/")

    assert response.status_code == 200
    assert len(server.requests) == 1


@pytest.mark.usefixtures("environment")
def test_a_service_beside_those_of_the_environment_makes_it_unpicklable(
    server: LoopbackServer,
) -> None:
    with requests.Session() as session:
        mount(session)
        mount(session, orders_at(server.url, name="users"))
        mount(session)
        assert [
            session.get(f"http://{name}/").status_code for name in ("orders", "users")
        ] == [200, 200]

        with pytest.raises(TypeError, match="environment"):
            pickle.dumps(session)


def test_an_adapter_with_a_function_is_pickled_with_it(
    server: LoopbackServer,
) -> None:
    with requests.Session() as session:
        mount(session, find_nothing)
        with pickle.loads(pickle.dumps(session)) as twin:
            response = twin.get(server.url)

    assert response.status_code == 200


def test_a_deep_copy_shares_the_function() -> None:
    class Finder:
        def __call__(self, scheme: str, host: str, port: int) -> None:
            self.asked = host

        def __deepcopy__(self, memo: object) -> None:
            raise AssertionError

    finder = Finder()
    adapter = copy.deepcopy(LoadBalancingAdapter(finder, passthrough=Recorder()))

    adapter.send(requests.Request("GET", "http://orders/").prepare())

    assert finder.asked == "orders"
