"""Connections that were kept and turn out to be closed, told from those that broke."""

from __future__ import annotations

from typing import Any

import pytest

from lbtransport import LoadBalancer, RetryPolicy
from lbtransport._httpx_family import stages
from tests.conftest import ServerStarter
from tests.httpx_family.kinds import Kind, done, orders_at, outcomes_of
from tests.servers import (
    Handler,
    LoopbackServer,
    aging,
    close_without_answer,
    reset,
    reset_in_headers,
    truncated_headers,
)

URL = "http://orders/items"
CLOSED = pytest.mark.parametrize("later", [close_without_answer, reset])


async def _post_on_a_kept_connection(
    kind: Kind, orders: LoadBalancer, **options: Any
) -> Any:
    async with kind.connect(orders) as client:
        await done(client.get(URL))
        return await done(client.post(URL, content=b"note", **options))


@CLOSED
async def test_connection_that_was_closed_under_its_second_request_blames_nobody(
    kind: Kind, start_server: ServerStarter, server: LoopbackServer, later: Handler
) -> None:
    stale = start_server(aging(later))
    orders = orders_at(stale.url, server.url)

    async with kind.connect(orders) as client:
        bodies = [(await done(client.get(URL))).text for _ in range(4)]

    assert bodies == ["first", "", "first", ""]
    assert (len(stale.requests), stale.connections) == (4, 2)
    assert outcomes_of(orders) == (6, 0, 0)


async def test_only_backend_whose_connection_was_stale_is_asked_again_at_once(
    kind: Kind, start_server: ServerStarter
) -> None:
    stale = start_server(aging(reset))
    # A wait, of which there is none, would take an hour.
    policy = RetryPolicy(min_wait=3600, max_wait=3600)

    async with kind.connect(orders_at(stale.url, retry=policy)) as client:
        bodies = [(await done(client.get(URL))).text for _ in range(2)]

    assert bodies == ["first", "first"]
    assert len(stale.requests) == 3


@CLOSED
async def test_post_that_met_a_closing_connection_is_not_sent_twice(
    kind: Kind, start_server: ServerStarter, server: LoopbackServer, later: Handler
) -> None:
    orders = orders_at(start_server(aging(later)).url, server.url)

    with pytest.raises(kind.hx.TransportError):
        await _post_on_a_kept_connection(kind, orders)

    assert server.requests == []
    assert outcomes_of(orders) == (2, 0, 0)


@CLOSED
async def test_post_that_met_a_closing_connection_is_repeated_if_the_user_says_so(
    kind: Kind, start_server: ServerStarter, server: LoopbackServer, later: Handler
) -> None:
    policy = RetryPolicy(repeat_stale=True)
    orders = orders_at(start_server(aging(later)).url, server.url, retry=policy)

    await _post_on_a_kept_connection(kind, orders)

    assert [request.body for request in server.requests] == [b"note"]


async def test_post_that_may_not_be_repeated_is_not_even_so(
    kind: Kind, start_server: ServerStarter, server: LoopbackServer
) -> None:
    policy = RetryPolicy(repeat_stale=True)
    orders = orders_at(start_server(aging(reset)).url, server.url, retry=policy)
    extensions = {"lbtransport": {"idempotent": False}}

    with pytest.raises(kind.hx.TransportError):
        await _post_on_a_kept_connection(kind, orders, extensions=extensions)

    assert server.requests == []


@pytest.mark.parametrize("later", [truncated_headers, reset_in_headers])
async def test_kept_connection_that_breaks_in_its_answer_is_the_backends_fault(
    kind: Kind, start_server: ServerStarter, server: LoopbackServer, later: Handler
) -> None:
    policy = RetryPolicy(repeat_stale=True)
    orders = orders_at(start_server(aging(later)).url, server.url, retry=policy)

    with pytest.raises(kind.hx.TransportError):
        await _post_on_a_kept_connection(kind, orders)

    assert server.requests == []
    assert outcomes_of(orders) == (2, 1, 0)


async def test_new_connection_that_is_closed_is_the_backends_fault(
    kind: Kind, start_server: ServerStarter, server: LoopbackServer
) -> None:
    orders = orders_at(start_server(close_without_answer).url, server.url)

    async with kind.connect(orders) as client:
        await done(client.get(URL))

    assert outcomes_of(orders) == (2, 1, 0)


async def test_where_httpcore_names_its_parts_otherwise_the_backend_is_blamed(
    kind: Kind,
    start_server: ServerStarter,
    server: LoopbackServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    orders = orders_at(start_server(aging(reset)).url, server.url)
    monkeypatch.setattr(stages, "_CONNECTIONS", frozenset({"ConnectionOfYesterday"}))

    async with kind.connect(orders) as client:
        bodies = [(await done(client.get(URL))).text for _ in range(2)]

    assert bodies == ["first", ""]
    assert outcomes_of(orders) == (3, 1, 0)


class _Parser:
    trailing_data = (b"", True)


@pytest.mark.parametrize(
    ("parts", "is_known"),
    [
        ({"_request_count": 2, "_h11_state": _Parser()}, True),
        ({"_request_count": 1, "_h11_state": _Parser()}, False),
        ({"_request_count": 2}, False),
        ({"_h11_state": _Parser()}, False),
        ({}, False),
    ],
)
def test_stale_is_what_both_private_parts_say(
    parts: dict[str, Any], *, is_known: bool
) -> None:
    class HTTP11Connection:
        def read(self) -> None:
            raise ConnectionResetError

    connection = HTTP11Connection()
    vars(connection).update(parts)

    with pytest.raises(RuntimeError) as caught:
        try:
            connection.read()
        except ConnectionResetError as error:
            raise RuntimeError from error

    assert stages.is_stale(caught.value) is is_known
