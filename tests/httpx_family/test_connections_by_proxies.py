"""The environment's proxies: what is balanced goes past them, the rest as ever."""

from __future__ import annotations

import contextlib
import http.client
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.conftest import ServerStarter
from tests.httpx_family.kinds import Kind, done, orders_at
from tests.servers import PATIENCE, LoopbackServer, Reply, Request, reply


def forward(request: Request) -> Reply:
    """Answer as a proxy does, and say so."""
    url = urlsplit(request.target)
    way = http.client.HTTPConnection(url.netloc, timeout=PATIENCE)
    with contextlib.closing(way):
        way.request(request.method, url.path)
        answer = way.getresponse()
        return Reply(answer.status, [("Via", "1.1 proxy")], answer.read())


@pytest.fixture
def proxy(start_server: ServerStarter, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Start a proxy that the environment names for http and for https."""
    server = start_server(forward)
    monkeypatch.setenv("HTTP_PROXY", server.url)
    monkeypatch.setenv("HTTPS_PROXY", server.url)
    return server


@contextlib.asynccontextmanager
async def closed(kind: Kind, client: Any) -> AsyncIterator[Any]:
    """Give a client and close it."""
    try:
        yield client
    finally:
        await kind.close(client)


async def ways(client: Any, *urls: str) -> list[str]:
    """Return how each URL is reached, and who answers."""
    answers = [await done(client.get(url)) for url in urls]
    return [
        ("proxy " if "via" in answer.headers else "direct ") + answer.text
        for answer in answers
    ]


@pytest.mark.parametrize("pattern", ["all://orders", "http://orders", "all://*orders"])
async def test_mounted_service_goes_past_the_proxy_and_the_rest_by_it(
    kind: Kind, start_server: ServerStarter, proxy: LoopbackServer, pattern: str
) -> None:
    backend, other = start_server(reply(body=b"ours")), start_server(reply(body=b"it"))
    mounts = {pattern: kind.transport(orders_at(backend.url))}

    async with closed(kind, kind.client(mounts=mounts)) as client:
        found = await ways(client, "http://orders/a", f"{other.url}/b")

    assert found == ["direct ours", "proxy it"]
    assert [request.target for request in proxy.requests] == [f"{other.url}/b"]


async def test_mounted_service_beside_a_host_that_needs_no_proxy(
    kind: Kind,
    start_server: ServerStarter,
    proxy: LoopbackServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    backend, other = start_server(reply(body=b"ours")), start_server(reply(body=b"it"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    mounts = {"all://orders": kind.transport(orders_at(backend.url))}

    async with closed(kind, kind.client(mounts=mounts)) as client:
        found = await ways(client, "http://orders/a", f"{other.url}/b")

    assert found == ["direct ours", "direct it"]
    assert proxy.requests == []


@pytest.mark.parametrize("no_proxy", ["", "127.0.0.1", "orders", "*"])
async def test_transport_passes_the_rest_through_as_the_bare_client(
    kind: Kind,
    start_server: ServerStarter,
    proxy: LoopbackServer,
    monkeypatch: pytest.MonkeyPatch,
    no_proxy: str,
) -> None:
    backend, other = start_server(reply(body=b"ours")), start_server(reply(body=b"it"))
    monkeypatch.setenv("NO_PROXY", no_proxy)
    ours = kind.client(transport=kind.transport(orders_at(backend.url)))

    async with closed(kind, kind.client()) as bare, closed(kind, ours):
        expected = await ways(bare, f"{other.url}/b")
        found = await ways(ours, "http://orders/a", f"{other.url}/b")

    assert found == ["direct ours", *expected]
    assert ("proxy" in expected[0]) is (no_proxy in {"", "orders"})


async def test_https_that_passes_through_is_tunnelled_as_by_the_bare_client(
    kind: Kind, proxy: LoopbackServer
) -> None:
    proxy.handler = reply(502)
    ours = kind.client(transport=kind.transport(orders_at("http://10.0.0.1")))

    async with closed(kind, kind.client()) as bare, closed(kind, ours):
        for client in (bare, ours):
            with pytest.raises(kind.hx.ProxyError):
                await done(client.get("https://127.0.0.1:1/"))

    asked = [(request.method, request.target) for request in proxy.requests]
    assert asked == [("CONNECT", "127.0.0.1:1")] * 2


async def test_mount_for_all_gives_way_to_the_proxies_of_the_environment(
    kind: Kind, start_server: ServerStarter, proxy: LoopbackServer
) -> None:
    # To the client "http://" of the environment is nearer than "all://" of ours; it is
    # why transport= is there.
    backend = start_server(reply(body=b"ours"))
    proxy.handler = reply(body=b"nobody knows orders", headers=[("Via", "1.1 proxy")])
    found = []

    for options in ({}, {"trust_env": False}):
        mounts = {"all://": kind.transport(orders_at(backend.url))}
        async with closed(kind, kind.client(mounts=mounts, **options)) as client:
            found += await ways(client, "http://orders/")

    assert found == ["proxy nobody knows orders", "direct ours"]
