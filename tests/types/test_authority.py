"""Authorities are compared by host and port, however they are written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbtransport import ConfigurationError
from lbtransport._types.authority import (
    effective_port,
    normalise_host,
    normalise_scheme,
    split_service_name,
)


@pytest.mark.parametrize(
    ("scheme", "normal"),
    [("http", "http"), ("https", "https"), ("ws", "http"), ("wss", "https")],
)
def test_websocket_counts_as_http(scheme: str, normal: str) -> None:
    assert normalise_scheme(scheme) == normal


@pytest.mark.parametrize(
    ("scheme", "port", "effective"),
    [
        ("http", None, 80),
        ("https", None, 443),
        ("http", 8080, 8080),
        ("ftp", None, None),
    ],
)
def test_port_is_the_schemes_unless_it_is_given(
    scheme: str, port: int | None, effective: int | None
) -> None:
    assert effective_port(scheme, port) == effective


@pytest.mark.parametrize("host", ["orders", "ORDERS", "orders.", "Orders."])
def test_host_is_compared_without_case_and_trailing_dot(host: str) -> None:
    assert normalise_host(host) == "orders"


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("orders", ("orders", None)),
        ("Orders.", ("orders", None)),
        ("orders:8080", ("orders", 8080)),
        ("ORDERS.internal.:80", ("orders.internal", 80)),
        ("[::1]:8080", ("::1", 8080)),
    ],
)
def test_name_of_a_service_is_a_host_and_perhaps_a_port(
    name: str, parts: tuple[str, int | None]
) -> None:
    assert split_service_name(name) == parts


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        ":8080",
        "orders:",
        "orders:port",
        "orders:99999",
        "http://orders",
        "orders/v1",
        "orders?a=b",
        "orders#top",
        "or ders",
        "orders\n",
        "[::1",
    ],
)
def test_what_is_no_name_of_a_service_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match="is no name of a service; give a"):
        split_service_name(name)


def test_refused_name_hides_its_credentials() -> None:
    with pytest.raises(ConfigurationError) as refusal:
        split_service_name("http://user:hush-hush@orders")

    assert "hush-hush" not in str(refusal.value)


@given(name=st.text())
def test_no_text_breaks_the_taking_apart(name: str) -> None:
    try:
        host, port = split_service_name(name)
    except ConfigurationError:
        return

    assert host
    assert port is None or 0 <= port < 65536
