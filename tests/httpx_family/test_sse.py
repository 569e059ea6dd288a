"""Server-sent events: with httpx2's own client for them, and with httpx-sse."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import httpx_sse

from tests.conftest import ServerStarter
from tests.httpx_family.kinds import (
    Kind,
    in_flight,
    leaves_generators,
    orders_at,
    outcomes_of,
)
from tests.servers import Reply, reply

URL = "http://orders/events"
STREAM = [("Content-Type", "text/event-stream")]


@asynccontextmanager
async def events(kind: Kind, client: Any) -> AsyncIterator[Any]:
    """Connect as the users of this kind of client do; give the events' iterator."""
    if kind.hx is httpx2:
        source = client.sse(URL)
    elif kind.is_async:
        source = httpx_sse.aconnect_sse(client, "GET", URL)
    else:
        source = httpx_sse.connect_sse(client, "GET", URL)
    if kind.is_async:
        async with source as opened:
            yield opened.aiter_sse() if kind.hx is not httpx2 else aiter(opened)
    else:
        with source as opened:
            yield opened.iter_sse() if kind.hx is not httpx2 else iter(opened)


def one_by_one(got: list[threading.Event]) -> Iterator[bytes | threading.Event]:
    """Send each event only when the one before was received."""
    for number, event in enumerate(got):
        yield b"event: tick\nid: %d\ndata: %d\n\n" % (number, number)
        yield event


async def test_events_arrive_one_by_one(
    kind: Kind, start_server: ServerStarter
) -> None:
    got = [threading.Event() for _ in range(3)]
    orders = orders_at(start_server(lambda _: Reply(200, STREAM, one_by_one(got))).url)
    received = []

    async with kind.connect(orders) as client:
        async with events(kind, client) as ticks:
            for event in got:
                tick = await kind.next(ticks)
                received.append((tick.event, tick.id, tick.data, in_flight(orders)))
                event.set()
            rest = await kind.all(ticks)
        after = outcomes_of(orders)

    assert received == [("tick", str(number), str(number), 1) for number in range(3)]
    assert (rest, after) == ([], (1, 0, 0))


@leaves_generators
async def test_leaving_the_block_gives_the_backend_back(
    kind: Kind, start_server: ServerStarter
) -> None:
    endless = reply(body=[b"data: 0\n\n", threading.Event()], headers=STREAM)
    orders = orders_at(start_server(endless).url)

    async with kind.connect(orders) as client:
        async with events(kind, client) as ticks:
            tick = await kind.next(ticks)
        after = outcomes_of(orders)

    assert (tick.data, after) == ("0", (1, 0, 0))


async def test_stream_of_events_opens_on_another_backend(
    kind: Kind, start_server: ServerStarter, refused_url: str
) -> None:
    good = start_server(reply(body=b"data: 0\n\n", headers=STREAM))
    orders = orders_at(refused_url, start_server(reply(503)).url, good.url)

    async with kind.connect(orders) as client, events(kind, client) as ticks:
        received = [tick.data for tick in await kind.all(ticks)]

    assert received == ["0"]
    assert outcomes_of(orders) == (3, 2, 0)
