"""A backend's own headers reach that backend, and nobody else ever sees them."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from lbtransport import Backend
from tests.conftest import ServerStarter
from tests.httpx_family.kinds import Kind, done, orders_at
from tests.servers import LoopbackServer, close_without_answer, reply

URL = "http://orders/items"
SECRET = "s3cr3t-of-the-backend"


def with_userinfo(server: LoopbackServer) -> str:
    return server.url.replace("://", f"://user:{SECRET}@")


async def test_headers_go_to_their_backend_alone(
    kind: Kind, start_server: ServerStarter
) -> None:
    first, second = start_server(reply(503)), start_server()
    orders = orders_at(Backend(first.url, headers={"X-Api-Key": SECRET}), second.url)

    async with kind.connect(orders) as client:
        await done(client.get(URL))

    assert first.requests[0].headers["X-Api-Key"] == SECRET
    assert "X-Api-Key" not in second.requests[0].headers


async def test_userinfo_becomes_authorization_for_its_backend_alone(
    kind: Kind, start_server: ServerStarter
) -> None:
    first, second = start_server(reply(503)), start_server()

    async with kind.connect(orders_at(with_userinfo(first), second.url)) as client:
        await done(client.get(URL))

    assert first.requests[0].headers["Authorization"].startswith("Basic ")
    assert "Authorization" not in second.requests[0].headers


async def test_headers_replace_the_callers_of_the_same_name(
    kind: Kind, start_server: ServerStarter
) -> None:
    first, second = start_server(reply(503)), start_server()
    orders = orders_at(Backend(first.url, headers={"X-API-KEY": "own"}), second.url)

    async with kind.connect(orders) as client:
        await done(client.get(URL, headers={"x-api-key": "caller's"}))

    assert first.requests[0].headers.get_all("x-api-key") == ["own"]
    assert second.requests[0].headers.get_all("x-api-key") == ["caller's"]


async def test_host_among_the_headers_is_the_host(
    kind: Kind, server: LoopbackServer
) -> None:
    orders = orders_at(Backend(server.url, headers={"Host": "own.example"}))

    async with kind.connect(orders) as client:
        await done(client.get(URL))

    assert server.requests[0].headers.get_all("Host") == ["own.example"]


async def test_headers_are_nowhere_in_the_response(
    kind: Kind, server: LoopbackServer
) -> None:
    orders = orders_at(with_userinfo(server))

    async with kind.connect(orders) as client:
        response = await done(client.get(URL))

    assert "Authorization" not in response.request.headers
    assert SECRET not in repr([response, response.request, vars(response)])


async def test_headers_are_nowhere_in_errors_events_or_logs(
    kind: Kind, start_server: ServerStarter, caplog: pytest.LogCaptureFixture
) -> None:
    server = start_server(close_without_answer)
    orders = orders_at(with_userinfo(server))
    events: list[Any] = []
    orders.subscribe(events.append)
    caplog.set_level(logging.DEBUG)

    async with kind.connect(orders) as client:
        with pytest.raises(kind.hx.TransportError) as caught:
            await done(client.get(URL))
        orders.remove_backend(server.url)

    error = caught.value
    assert events
    assert SECRET not in repr(
        [error, error.args, error.request, events, orders.stats()]
    )
    ours = [r.getMessage() for r in caplog.records if r.name.startswith("lbtransport")]
    assert ours
    assert SECRET not in repr(ours)


async def test_credentials_are_not_in_the_refusal_of_plain_text(
    kind: Kind, server: LoopbackServer
) -> None:
    async with kind.connect(orders_at(with_userinfo(server))) as client:
        with pytest.raises(kind.ours.ConfigurationError) as caught:
            await done(client.get("https://user:password@orders/items?token=abc"))

    assert SECRET not in str(caught.value)
    assert "password" not in str(caught.value)
    assert "token" not in str(caught.value)


async def test_update_with_other_headers_takes_effect_at_once(
    kind: Kind, server: LoopbackServer
) -> None:
    orders = orders_at(Backend(server.url, headers={"X-Api-Key": "old"}))

    async with kind.connect(orders) as client:
        await done(client.get(URL))
        orders.update_backends([Backend(server.url, headers={"X-Api-Key": "new"})])
        await done(client.get(URL))

    keys = [request.headers["X-Api-Key"] for request in server.requests]
    assert keys == ["old", "new"]
    assert server.connections == 1
