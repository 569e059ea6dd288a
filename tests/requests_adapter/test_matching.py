"""Which requests are ours, and what becomes of those that are not."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from lbtransport import LoadBalancer, options
from lbtransport._services import bypass
from lbtransport.requests import ConfigurationError, mount
from tests.conftest import ServerStarter
from tests.requests_adapter.conftest import Balance
from tests.requests_adapter.kit import Recorder, orders_at
from tests.servers import LoopbackServer, Request, reply


@pytest.mark.parametrize(
    "url",
    [
        "http://orders/",
        "http://orders",
        "http://ORDERS/",
        "http://orders./",
        "http://orders:80/",
        "http://orders:8080/",
        "http://user:secret@orders/",
        "http://orders?a=b",
        "http://orders/#fragment",
    ],
)
def test_these_are_requests_to_the_service(
    balance: Balance, server: LoopbackServer, url: str
) -> None:
    passed = Recorder()
    client = balance(server.url, passthrough=passed)

    assert client.get(url).status_code == 200
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "url",
    [
        "http://orders-evil/",
        "http://orders.evil/",
        "http://orders@evil/",
        "http://evil/orders",
        "http://evil/?http://orders/",
        "http://evil#@orders/",
        "http://evil\\@orders/",
        "http://xorders/",
        "http://[::1]/",
    ],
)
def test_these_are_strangers(
    balance: Balance, server: LoopbackServer, url: str
) -> None:
    passed = Recorder()
    client = balance(server.url, passthrough=passed)

    assert client.get(url).status_code == 299
    assert server.connections == 0


@pytest.mark.parametrize("url", ["http://orders:99999/", "http://[orders/", None, ""])
def test_what_makes_no_sense_passes_through(
    balance: Balance, server: LoopbackServer, url: str | None
) -> None:
    passed = Recorder()
    client = balance(server.url, passthrough=passed)
    request = requests.PreparedRequest()
    request.url = url

    client.adapter.send(request)

    assert passed.urls == [url]


def test_a_service_with_a_port_is_that_port_alone(
    balance: Balance, start_server: ServerStarter
) -> None:
    some, other = start_server(reply(body=b"8080")), start_server(reply(body=b"all"))
    client = balance(orders_at(some.url, name="orders:8080"), orders_at(other.url))

    bodies = [client.get(f"http://orders{port}/").text for port in (":8080", "", ":81")]

    assert bodies == ["8080", "all", "all"]


def test_balancers_are_those_known_by_name(balance: Balance) -> None:
    orders, users = orders_at("http://10.0.0.1"), LoadBalancer("users")
    client = balance(orders)

    mount(client.session, users)

    assert client.adapter.balancers == (orders, users)
    assert type(client.adapter)(lambda scheme, host, port: orders).balancers == ()


def test_a_function_finds_the_service(balance: Balance, server: LoopbackServer) -> None:
    service = orders_at(server.url)
    asked = []

    def find(scheme: str, host: str, port: int) -> Any:
        asked.append((scheme, host, port))
        return service if host == "orders" else None

    passed = Recorder()
    client = balance(service, passthrough=passed)
    client.session.mount("http://", type(client.adapter)(find, passthrough=passed))

    assert client.get("http://orders/").status_code == 200
    assert client.get("http://stranger:81/").status_code == 299
    assert asked == [("http", "orders", 80), ("http", "stranger", 81)]


def test_a_function_that_makes_nonsense_raises_what_callers_catch() -> None:
    def find(scheme: str, host: str, port: int) -> LoadBalancer:
        return LoadBalancer("orders", ["http://10.0.0.1:123456"])

    session = requests.Session()
    mount(session, find)

    with pytest.raises(requests.ConnectionError, match="123456") as caught:
        session.get("http://orders/")

    assert isinstance(caught.value, ConfigurationError)
    assert caught.value.request is not None


def test_a_function_may_change_its_mind(
    balance: Balance, three_servers: list[LoopbackServer]
) -> None:
    services = [orders_at(three_servers[0].url, host=name) for name in ("one", "two")]
    client = balance(*services[:1])
    found = iter(services)
    adapter = type(client.adapter)(lambda *_: next(found))
    client.session.mount("http://", adapter)

    client.get("http://orders/")
    client.get("http://orders/")

    assert [r.headers["Host"] for r in three_servers[0].requests] == ["one", "two"]


def test_strangers_are_sent_as_requests_would(
    balance: Balance, server: LoopbackServer
) -> None:
    client = balance(orders_at())

    response = client.get(f"{server.url}/v1?a=b")

    assert response.url == f"{server.url}/v1?a=b"
    (request,) = server.requests
    assert request.target == "/v1?a=b"
    assert request.headers["Host"] == server.authority


def test_the_longest_prefix_of_the_passthrough_counts(balance: Balance) -> None:
    adapters = {
        prefix: Recorder(prefix)
        for prefix in ("http://", "https://", "http://a.example/")
    }
    client = balance(orders_at(), passthrough=adapters)

    for url in ("http://a.example/", "HTTP://A.example/", "http://b/", "https://c/"):
        client.get(url)

    counts = {prefix: len(adapter.urls) for prefix, adapter in adapters.items()}
    assert counts == {"http://": 1, "https://": 1, "http://a.example/": 2}


def test_the_passthrough_gets_all_arguments(balance: Balance) -> None:
    passed = Recorder()
    client = balance(orders_at(), passthrough=passed)
    proxies = {"http": "http://proxy:3128"}

    client.get(
        "http://a/", timeout=3, stream=True, verify="ca", cert="me", proxies=proxies
    )

    (arguments,) = passed.arguments
    assert arguments["proxies"]["http"] == "http://proxy:3128"
    del arguments["proxies"]
    assert arguments == {"timeout": 3, "stream": True, "verify": "ca", "cert": "me"}


def test_all_passes_through_while_the_balancing_is_switched_off(
    balance: Balance, server: LoopbackServer
) -> None:
    passed = Recorder()
    client = balance(server.url, passthrough=passed)

    with bypass():
        assert client.get("http://orders/").status_code == 299
    assert client.get("http://orders/").status_code == 200


# Proxies


def _proxied(client: Any, proxy: LoopbackServer, **others: str) -> None:
    client.session.proxies = {"http": proxy.url, "https": proxy.url, **others}


def test_backends_are_called_directly(
    balance: Balance, three_servers: list[LoopbackServer]
) -> None:
    backend, proxy, _ = three_servers
    client = balance(backend.url)
    _proxied(client, proxy)

    assert client.get("http://orders/").text == "0"
    assert proxy.connections == 0


def test_strangers_go_through_the_environments_proxy(
    balance: Balance, server: LoopbackServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", server.url)
    client = balance(orders_at())

    client.get("http://stranger.example/v1")

    assert [r.target for r in server.requests] == ["http://stranger.example/v1"]


def test_backends_are_called_through_a_proxy_if_that_is_wanted(
    balance: Balance, three_servers: list[LoopbackServer]
) -> None:
    backend, proxy, _ = three_servers
    client = balance(f"{backend.url}/base", use_proxies=True)
    _proxied(client, proxy)

    assert client.get("http://orders/v1?a=b").text == "1"
    (request,) = proxy.requests
    assert request.target == f"{backend.url}/base/v1?a=b"
    assert request.headers["Host"] == "orders"


def test_no_proxy_is_compared_with_the_backend(
    balance: Balance, three_servers: list[LoopbackServer]
) -> None:
    backend, proxy, _ = three_servers
    client = balance(backend.url, use_proxies=True)
    _proxied(client, proxy, no_proxy="127.0.0.1")

    assert client.get("http://orders/").text == "0"


def test_a_proxy_for_another_scheme_is_none(
    balance: Balance, three_servers: list[LoopbackServer]
) -> None:
    backend, proxy, _ = three_servers
    client = balance(backend.url, use_proxies=True)
    client.session.proxies = {"https": proxy.url}

    assert client.get("http://orders/").text == "0"


def test_an_https_backend_is_reached_by_a_tunnel(
    balance: Balance, server: LoopbackServer
) -> None:
    def refuse(request: Request) -> Any:
        return reply(403)(request)

    server.handler = refuse
    client = balance("https://10.9.8.7:8443/base", use_proxies=True)
    _proxied(client, server)

    with options(retry=False), pytest.raises(requests.exceptions.ProxyError):
        client.get("http://orders/")

    (request,) = server.requests
    assert (request.method, request.target) == ("CONNECT", "10.9.8.7:8443")
