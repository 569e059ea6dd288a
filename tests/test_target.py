"""Under which names a backend is called, and what is mapped back to the caller."""

from __future__ import annotations

import pytest

from lbtransport import Backend, ConfigurationError, LoadBalancer
from lbtransport._target import Target, make_target

ADDRESS, NAME = "https://10.0.0.1", "https://eu.example.com:8443"


def target_of(
    backend: Backend | str, url: str = "http://orders:8080", **service: str
) -> Target:
    backend = backend if isinstance(backend, Backend) else Backend(backend)
    balancer = LoadBalancer("orders", [backend], host=service.get("host"))
    scheme, _, netloc = url.partition("://")
    return make_target(balancer, backend, scheme, netloc)


@pytest.mark.parametrize(
    ("backend", "host", "tls_name"),
    [
        ("http://10.0.0.1", "orders:8080", None),
        ("http://eu.example.com", "orders:8080", None),
        (ADDRESS, "orders:8080", "orders"),
        (NAME, "eu.example.com:8443", None),
        (Backend(NAME, host="logical"), "orders:8080", None),
        (Backend(NAME, tls_name="logical"), "eu.example.com:8443", "orders"),
        (Backend(ADDRESS, host="backend", tls_name="backend"), "10.0.0.1", None),
        (Backend(ADDRESS, host="a.b", tls_name="c.d"), "a.b", "c.d"),
    ],
)
def test_names_of_a_backend(
    backend: Backend | str, host: str, tls_name: str | None
) -> None:
    target = target_of(backend)

    assert (target.host, target.tls_name) == (host, tls_name)


def test_backends_own_word_goes_before_the_services() -> None:
    assert target_of("http://10.0.0.1", host="backend").host == "10.0.0.1"
    own = Backend("http://10.0.0.1", host="logical")
    assert target_of(own, host="backend").host == "orders:8080"


def test_https_over_http_is_refused_unless_allowed() -> None:
    backend = Backend("http://10.0.0.1")
    balancer = LoadBalancer("orders", [backend])

    with pytest.raises(ConfigurationError, match="allow_plaintext=True"):
        make_target(balancer, backend, "wss", "orders")

    allowed = make_target(balancer, backend, "https", "orders", allow_plaintext=True)
    assert allowed.logical_scheme == "https"


PLAIN, PREFIXED = "http://10.0.0.1:81", "http://10.0.0.1:81/v1"


@pytest.mark.parametrize(
    ("backend", "location", "mapped"),
    [
        (PLAIN, "http://10.0.0.1:81/a?b#c", "http://orders:8080/a?b#c"),
        (PLAIN, "//10.0.0.1:81/a", "http://orders:8080/a"),
        (PLAIN, "http://10.0.0.1/a", "http://10.0.0.1/a"),
        (PLAIN, "https://10.0.0.1:81/a", "https://10.0.0.1:81/a"),
        (PLAIN, "http://10.0.0.2:81/a", "http://10.0.0.2:81/a"),
        (PLAIN, "http://orders:8080/a", "http://orders:8080/a"),
        (PLAIN, "/a", "/a"),
        (PLAIN, "a", "a"),
        (PLAIN, "http://[::1", "http://[::1"),
        (PREFIXED, "/v1/a", "/a"),
        (PREFIXED, "/v1", "/"),
        (PREFIXED, "/v11/a", "/v11/a"),
        (PREFIXED, "a", "a"),
        (PREFIXED, "http://10.0.0.1:81/v1/a", "http://orders:8080/a"),
        (PREFIXED, "http://10.0.0.1:81/v2/a", "http://10.0.0.1:81/v2/a"),
        (PREFIXED, "http://orders:8080/v1/a", "http://orders:8080/a"),
        (PREFIXED, "http://orders/v1/a", "http://orders/v1/a"),
    ],
)
def test_location_is_mapped_back_if_it_is_the_backends(
    backend: str, location: str, mapped: str
) -> None:
    assert target_of(backend).map_location(location) == mapped


@pytest.mark.parametrize(
    ("backend", "cookie", "mapped"),
    [
        (PLAIN, "a=b; Path=/v1", "a=b; Path=/v1"),
        (PREFIXED, "a=b; Path=/v1/x; Secure", "a=b; Path=/x; Secure"),
        (PREFIXED, "a=b; path=/v1", "a=b; path=/"),
        (PREFIXED, "a=b; Path=/other", "a=b; Path=/other"),
        (PREFIXED, "path=/v1", "path=/v1"),
    ],
)
def test_path_of_a_cookie_is_mapped_back(
    backend: str, cookie: str, mapped: str
) -> None:
    assert target_of(backend).map_cookie(cookie) == mapped
