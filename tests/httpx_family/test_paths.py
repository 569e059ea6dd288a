"""Paths: prefixes are joined, and what the caller encoded stays encoded."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import httpx
import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbtransport._httpx_family.flavour import (
    _choose_make_request,
    _choose_rewrite,
    _make_fast,
    _slow,
)
from tests.httpx_family.kinds import Kind, answering, done, orders_at
from tests.servers import LoopbackServer

# What is requested, and what goes over the wire: the same as without us.
TARGETS = {
    "http://orders": "/",
    "http://orders/": "/",
    "http://orders?a=b": "/?a=b",
    "http://orders/a?": "/a?",
    "http://orders/a%2Fb/c%20d": "/a%2Fb/c%20d",
    "http://orders/a b": "/a%20b",
    "http://orders//a//b/": "//a//b/",
    "http://orders/caf\xe9?q=\xe9": "/caf%C3%A9?q=%C3%A9",
    "http://orders/a;b=c,d/@:!$&'()*+": "/a;b=c,d/@:!$&'()*+",
    "http://orders/?a=%26&b=%3D&c=+&d=%20": "/?a=%26&b=%3D&c=+&d=%20",
    "http://orders/%7Euser/%41": "/%7Euser/%41",
    "http://orders/a#fragment": "/a",
}


@pytest.mark.parametrize("prefix", ["", "/v1", "/a%2Fb/c"])
async def test_targets_are_what_was_asked_for_after_the_prefix(
    kind: Kind, server: LoopbackServer, prefix: str
) -> None:
    async with kind.connect(orders_at(server.url + prefix)) as client:
        for url in TARGETS:
            await done(client.get(url))

    targets = [request.target for request in server.requests]
    assert targets == [prefix + target for target in TARGETS.values()]


async def test_targets_are_the_bare_clients(kind: Kind, server: LoopbackServer) -> None:
    async with kind.connect(orders_at(server.url)) as client:
        for url in TARGETS:
            await done(client.get(url.replace("orders", server.authority)))

    assert [request.target for request in server.requests] == list(TARGETS.values())


async def test_slash_at_the_end_of_a_prefix_makes_no_difference(
    kind: Kind, server: LoopbackServer
) -> None:
    async with kind.connect(orders_at(server.url + "/v1/")) as client:
        await done(client.get("http://orders/items"))

    assert [request.target for request in server.requests] == ["/v1/items"]


@pytest.mark.parametrize(
    ("backend", "host", "port"),
    [
        ("http://xn--bcher-kva.example/a", b"xn--bcher-kva.example", None),
        ("http://b\xfccher.example/a", b"xn--bcher-kva.example", None),
        ("http://[::1]:8080", b"::1", 8080),
        ("http://my_service:80", b"my_service", None),
        ("https://10.0.0.1:443", b"10.0.0.1", None),
    ],
)
async def test_backend_is_called_at_its_host_and_port(
    kind: Kind, backend: str, host: bytes, port: int | None
) -> None:
    called: list[Any] = []

    def answer(request: Any) -> Any:
        called.append((request.url.raw_host, request.url.port))
        return kind.hx.Response(200)

    factory = answering(kind, answer)
    async with kind.connect(orders_at(backend), transport_factory=factory) as client:
        await done(client.get("http://orders/"))

    assert called == [(host, port)]


async def test_ipv6_backend_is_reached(kind: Kind, start_server: Any) -> None:
    server = start_server(host="::1")

    async with kind.connect(orders_at(server.url)) as client:
        response = await done(client.get("http://orders/"))

    assert response.status_code == 200


MODULES = pytest.mark.parametrize("hx", [httpx, httpx2], ids=lambda hx: hx.__name__)


@MODULES
def test_fast_way_to_rewrite_is_used_with_these_releases(hx: Any) -> None:
    assert _choose_rewrite(hx) is not _slow


@MODULES
def test_fast_way_to_make_a_request_is_used_with_these_releases(hx: Any) -> None:
    assert _choose_make_request(hx).__name__ == "fast"


@MODULES
def test_constructor_makes_the_request_where_it_does_more(hx: Any) -> None:
    class Request(hx.Request):  # type: ignore[misc]  # of a module handed in
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            self.more = 1

    changed = SimpleNamespace(**vars(hx) | {"Request": Request})
    make = _choose_make_request(changed)

    made = make("GET", hx.URL("http://orders/"), hx.Headers(), hx.ByteStream(b""), {})

    assert made.more == 1


@MODULES
def test_constructor_makes_the_request_where_its_attributes_cannot_be_set(
    hx: Any,
) -> None:
    class Request:
        __slots__ = ("arguments",)

        def __init__(self, *arguments: Any, **options: Any) -> None:
            self.arguments = arguments

    make = _choose_make_request(SimpleNamespace(**vars(hx) | {"Request": Request}))

    assert make("GET", "url", None, None, {}).arguments == ("GET", "url")


def test_slow_way_is_used_where_a_release_keeps_its_parts_elsewhere() -> None:
    class Url:
        def __init__(self, url: str) -> None:
            self.url = url

    assert _choose_rewrite(SimpleNamespace(URL=Url)) is _slow


@MODULES
def test_slow_way_is_used_where_the_fast_one_disagrees(hx: Any) -> None:
    def copy_with(self: Any, **parts: Any) -> Any:
        return hx.URL("http://somewhere.else")

    changed = type("URL", (hx.URL,), {"copy_with": copy_with})

    assert _choose_rewrite(SimpleNamespace(URL=changed)) is _slow


paths = st.text(
    st.sampled_from("ab/%.~:@!$&'()*+,;= \xe9\u2713?#\"<>[]{}|\\^`"), max_size=12
)
hosts = st.sampled_from(["orders", "orders:8080", "user:pw@orders", "[::1]:81"])
backends = st.sampled_from(
    [
        ("http", "10.0.0.1", None),
        ("https", "10.0.0.1", 8443),
        ("http", "::1", 8080),
        ("wss", "eu.example.com", None),
        ("http", "xn--bcher-kva.example", None),
    ]
)
prefixes = st.sampled_from(["", "/v1", "/a%20b/c%2Fd"])


@MODULES
@given(host=hosts, path=paths, backend=backends, prefix=prefixes)
def test_both_ways_to_rewrite_agree(
    hx: Any, host: str, path: str, backend: Any, prefix: str
) -> None:
    try:
        url = hx.URL(f"http://{host}/{path}")
    except hx.InvalidURL:
        return
    scheme, name, port = backend

    fast = _make_fast(hx)(url, scheme, name, port, prefix)
    slow = _slow(url, scheme, name, port, prefix)

    assert fast == slow
    assert (fast.raw_path, fast.netloc) == (slow.raw_path, slow.netloc)


@MODULES
@given(host=hosts, path=paths, prefix=prefixes)
def test_path_on_the_wire_is_the_prefix_and_the_callers_own(
    hx: Any, host: str, path: str, prefix: str
) -> None:
    try:
        url = hx.URL(f"http://{host}/{path}")
    except hx.InvalidURL:
        return

    rewritten = _choose_rewrite(hx)(url, "http", "10.0.0.1", 8080, prefix)

    assert rewritten.raw_path == prefix.encode() + url.raw_path
    assert rewritten.netloc == b"10.0.0.1:8080"
    assert rewritten.userinfo == b""
