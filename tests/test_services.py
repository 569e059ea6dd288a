"""Which service a URL belongs to: exact names, ports, and what passes through."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from lbtransport import ConfigurationError, LoadBalancer
from lbtransport._services import Services
from lbtransport.testing import disabled

URL = ["http://10.0.0.1"]


def make(name: str) -> LoadBalancer:
    return LoadBalancer(name, URL)


@pytest.mark.parametrize(
    ("name", "scheme", "host", "port"),
    [
        ("orders", "http", "orders", None),
        ("orders", "https", "orders", None),
        ("orders", "http", "orders", 8080),
        ("orders", "ws", "orders", None),
        ("orders", "http", "ORDERS", None),
        ("orders", "http", "orders.", None),
        ("Orders.", "http", "orders", None),
        ("orders:80", "http", "orders", None),
        ("orders:80", "http", "orders", 80),
        ("orders:80", "ws", "orders", None),
        ("orders:443", "https", "orders", None),
        ("orders:443", "wss", "orders", None),
        ("[::1]:8080", "http", "::1", 8080),
    ],
)
def test_url_of_a_service_is_found(
    name: str, scheme: str, host: str, port: int | None
) -> None:
    orders = make(name)

    assert Services(orders).find(scheme, host, port) is orders


@pytest.mark.parametrize(
    ("name", "scheme", "host", "port"),
    [
        ("orders", "http", "orders-evil", None),
        ("orders", "http", "orders.evil", None),
        ("orders", "http", "sub.orders", None),
        ("orders", "ftp", "orders", None),
        ("orders:80", "https", "orders", None),
        ("orders:80", "http", "orders", 8080),
    ],
)
def test_stranger_passes_through(
    name: str, scheme: str, host: str, port: int | None
) -> None:
    assert Services(make(name)).find(scheme, host, port) is None


def test_name_with_a_port_goes_before_the_one_without() -> None:
    every, one = make("orders"), make("orders:8080")
    services = Services([every, one])

    assert services.find("http", "orders", 8080) is one
    assert services.find("http", "orders", 8081) is every
    assert set(services) == {every, one}


def test_what_was_found_before_is_replaced_by_what_is_added() -> None:
    old, new = make("orders"), make("orders")
    services = Services(old)
    services.find("http", "orders", None)

    services.add(new)

    assert services.find("http", "orders", None) is new


def test_function_is_asked_each_time_in_plain_terms() -> None:
    asked, orders = list[Any](), make("orders")

    def find(scheme: str, host: str, port: int) -> LoadBalancer | None:
        asked.append((scheme, host, port))
        return orders if host == "orders" else None

    services = Services(find)

    assert services.find("wss", "Orders.", None) is orders
    assert services.find("http", "users", 81) is None
    assert asked == [("https", "orders", 443), ("http", "users", 81)]


@pytest.mark.parametrize("services", [7, ["orders"], [make("orders"), make("ORDERS")]])
def test_what_is_no_service_is_refused(services: Any) -> None:
    with pytest.raises(ConfigurationError):
        Services(services)


def test_nothing_configured_passes_all_through() -> None:
    assert list(Services()) == []
    assert Services().find("http", "orders", None) is None


def test_disabled_passes_through_for_all_threads() -> None:
    orders = make("orders")
    services, seen = Services(orders), list[object]()

    with disabled(), disabled():
        thread = threading.Thread(
            target=lambda: seen.append(services.find("http", "orders", None))
        )
        thread.start()
        thread.join()

    assert seen == [None]
    assert services.find("http", "orders", None) is orders


def test_variable_passes_through_for_the_whole_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LBTRANSPORT_MOCK", "passthrough")

    assert Services(make("orders")).find("http", "orders", None) is None


def test_ports_that_callers_invent_are_not_all_remembered() -> None:
    services = Services(make("orders"))

    for port in range(1, 5000):
        services.find("http", "orders", port)

    assert len(services._found) <= 4096
