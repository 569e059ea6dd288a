"""Mounting: what stays, what is added, what comes too late."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from lbtransport import ConfigurationError
from lbtransport.requests import LoadBalancingAdapter, mount
from tests.requests_adapter.kit import (
    Recorder,
    find_nothing,
    orders_at,
)
from tests.servers import LoopbackServer


def test_mount_returns_the_adapter_that_it_mounted() -> None:
    with requests.Session() as session:
        adapter = mount(session, orders_at())

        assert session.get_adapter("http://orders/") is adapter
        assert session.get_adapter("https://orders/") is adapter


def test_what_mount_displaces_gets_what_passes_through() -> None:
    displaced = {prefix: Recorder(prefix) for prefix in ("http://", "https://")}
    special = Recorder("special")
    with requests.Session() as session:
        for prefix, recorder in displaced.items():
            session.mount(prefix, recorder)
        session.mount("http://special/", special)
        mount(session, orders_at())

        for url in ("http://a/", "https://b/", "https://b/", "http://special/"):
            session.get(url)

    counts = [len(recorder.urls) for recorder in displaced.values()]
    assert (counts, len(special.urls)) == ([1, 2], 1)


def test_a_passthrough_of_the_callers_own_stands() -> None:
    displaced, given = Recorder("displaced"), Recorder("given")
    with requests.Session() as session:
        session.mount("http://", displaced)
        mount(session, orders_at(), passthrough=given)
        session.get("http://a/")

    assert (len(displaced.urls), len(given.urls)) == (0, 1)


def test_a_second_mount_adds_to_the_first(
    three_servers: list[LoopbackServer],
) -> None:
    first, second, third = three_servers
    with requests.Session() as session:
        session.mount("http://", LoadBalancingAdapter(orders_at(first.url)))
        adapter = session.get_adapter("http://")
        assert mount(session, orders_at(second.url, name="users")) is adapter
        assert session.get_adapter("https://") is adapter
        before = [session.get(f"http://{n}/").text for n in ("orders", "users")]
        mount(session, [orders_at(third.url)])
        after = [session.get(f"http://{n}/").text for n in ("orders", "users")]

    assert (before, after) == (["0", "1"], ["2", "1"])


def test_options_come_too_late_for_an_adapter_that_is_mounted() -> None:
    with requests.Session() as session:
        mount(session, orders_at())

        with pytest.raises(ConfigurationError, match="use_proxies"):
            mount(session, orders_at(name="users"), use_proxies=True)


def test_a_function_stands_alone() -> None:
    with requests.Session() as session:
        mount(session, orders_at())
        with pytest.raises(ConfigurationError, match="function"):
            mount(session, find_nothing)
    with requests.Session() as session:
        mount(session, find_nothing)
        with pytest.raises(ConfigurationError, match="function"):
            mount(session, orders_at())


@pytest.mark.parametrize("services", [17, "orders", ["orders"]])
def test_what_is_no_service_is_refused(services: Any) -> None:
    with pytest.raises(ConfigurationError):
        LoadBalancingAdapter(services)


def test_an_adapter_takes_what_requests_own_takes() -> None:
    adapter = LoadBalancingAdapter([orders_at()], 3, 4, 0, True)

    assert adapter.poolmanager.connection_pool_kw == {"maxsize": 4, "block": True}
