"""A caller who gives up: the backend is given back, and nobody is blamed."""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import Awaitable, Callable
from itertools import chain
from typing import Any, TypeAlias

import pytest
import trio

from tests.conftest import ServerStarter
from tests.httpx_family.kinds import (
    ASYNC_KINDS,
    Kind,
    done,
    leaves_generators,
    orders_at,
    outcomes_of,
)
from tests.servers import LoopbackServer, Reply, hang, reply

URL = "http://orders/events"

Work: TypeAlias = Callable[[], Awaitable[None]]
GiveUp: TypeAlias = Callable[[Kind, Work, Callable[[], bool]], Awaitable[None]]

pytestmark = [
    pytest.mark.parametrize("kind", ASYNC_KINDS, indirect=True, ids=str),
    leaves_generators,
]


@pytest.fixture(autouse=True, params=[None, 60.0], ids=["for ever", "deadline"])
def _with_and_without_a_deadline(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Have each test's service run with the scopes of a deadline as well."""
    at = functools.partial(orders_at, deadline=request.param)
    monkeypatch.setitem(globals(), "orders_at", at)


async def cancel_after(kind: Kind, work: Work, is_time: Callable[[], bool]) -> bool:
    """Begin `work`, cancel it as soon as `is_time`; tell whether it was cancelled."""
    if kind.loop == "asyncio":
        task = asyncio.ensure_future(work())
        while not is_time():  # noqa: ASYNC110 - turn by turn, to hit each moment
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        return task.cancelled()
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(work)
            while not is_time():
                await trio.lowlevel.checkpoint()
            scope.cancel()
    return scope.cancelled_caught


async def give_up(kind: Kind, work: Work, is_time: Callable[[], bool]) -> None:
    """Begin `work`, and cancel it as soon as `is_time`."""
    assert await cancel_after(kind, work, is_time)


async def time_out(kind: Kind, work: Work, is_time: Callable[[], bool]) -> None:
    """Begin `work`, and let its time be over as soon as `is_time`."""
    if kind.loop == "asyncio":
        loop = asyncio.get_running_loop()
        limit = asyncio.timeout(None)

        async def end() -> None:
            while not is_time():  # noqa: ASYNC110 - as above
                await asyncio.sleep(0)
            limit.reschedule(loop.time())

        ending = asyncio.ensure_future(end())
        with pytest.raises(TimeoutError):
            async with limit:
                await work()
        await ending
        return
    async with trio.open_nursery() as nursery:
        scope = trio.CancelScope()

        async def end_in_trio() -> None:
            while not is_time():
                await trio.lowlevel.checkpoint()
            scope.deadline = trio.current_time()

        nursery.start_soon(end_in_trio)
        with scope:
            await work()
    assert scope.cancelled_caught


@pytest.mark.parametrize("end", [give_up, time_out])
async def test_cancelled_while_it_waits_for_the_headers(
    kind: Kind, start_server: ServerStarter, end: GiveUp
) -> None:
    server, other = start_server(hang), start_server()
    orders = orders_at(server.url, other.url)

    async with kind.connect(orders) as client:

        async def work() -> None:
            await client.get(URL)

        await end(kind, work, lambda: len(server.requests) == 1)
        outcomes = outcomes_of(orders)

    assert outcomes == (1, 0, 0)
    assert other.requests == []


@pytest.mark.parametrize("end", [give_up, time_out])
async def test_cancelled_in_the_middle_of_the_body(
    kind: Kind, start_server: ServerStarter, end: GiveUp
) -> None:
    server = start_server(reply(body=[b"one", threading.Event()]))
    orders = orders_at(server.url)
    received: list[bytes] = []

    async with kind.connect(orders) as client:

        async def work() -> None:
            async with client.stream("GET", URL) as response:
                async for chunk in response.aiter_raw():
                    received.append(chunk)  # noqa: PERF401 - at once, not in the end

        await end(kind, work, lambda: bool(received))
        outcomes = outcomes_of(orders)

    assert received == [b"one"]
    assert outcomes == (1, 0, 0)


@pytest.mark.parametrize("end", [give_up, time_out])
async def test_cancelled_while_it_reads_a_whole_response(
    kind: Kind, start_server: ServerStarter, end: GiveUp
) -> None:
    server = start_server(reply(body=[b"one", threading.Event()]))
    orders = orders_at(server.url)

    async with kind.connect(orders) as client:

        async def work() -> None:
            await client.get(URL)

        def has_headers() -> bool:
            (one,) = orders.stats().backends
            return (one.in_flight, one.waiting) == (1, 0)

        await end(kind, work, has_headers)
        outcomes = outcomes_of(orders)

    assert outcomes == (1, 0, 0)


@pytest.mark.parametrize("end", [give_up, time_out])
async def test_cancelled_while_it_waits_for_the_next_attempt(
    kind: Kind, start_server: ServerStarter, end: GiveUp
) -> None:
    server = start_server(reply(503, headers=[("Retry-After", "30")]))
    orders = orders_at(server.url)

    async with kind.connect(orders) as client:

        async def work() -> None:
            await client.get(URL)

        await end(kind, work, lambda: orders.stats().backends[0].total == 1)
        outcomes = outcomes_of(orders)

    assert outcomes == (1, 0, 0)


async def test_cancelled_request_leaves_no_connection_behind(
    kind: Kind, start_server: ServerStarter
) -> None:
    server = start_server(hang)

    async with kind.connect(orders_at(server.url)) as client:

        async def work() -> None:
            await client.get(URL)

        await give_up(kind, work, lambda: len(server.requests) == 1)

        server.wait_until(lambda server: not server.open_connections)


async def test_next_request_after_a_cancelled_one_succeeds(
    kind: Kind, start_server: ServerStarter
) -> None:
    server = start_server(hang)
    limits = kind.hx.Limits(max_connections=1)

    async with kind.connect(orders_at(server.url), limits=limits) as client:

        async def work() -> None:
            await client.get(URL)

        await give_up(kind, work, lambda: len(server.requests) == 1)
        server.handler = reply(body=b"well")
        response = await client.get(URL)

    assert response.text == "well"


async def test_cancelled_upload_is_given_back(
    kind: Kind, start_server: ServerStarter
) -> None:
    server = start_server(reply())
    orders = orders_at(server.url)
    began: list[bool] = []

    async def endless() -> Any:
        while True:
            began.append(True)
            yield b"x"
            await (asyncio if kind.loop == "asyncio" else trio).sleep(0.001)

    async with kind.connect(orders) as client:

        async def work() -> None:
            await client.post(URL, content=endless())

        await give_up(kind, work, lambda: bool(began))
        outcomes = outcomes_of(orders)

    assert outcomes == (1, 0, 0)


async def test_cancelled_at_any_moment_leaves_nothing_in_flight(
    kind: Kind, start_server: ServerStarter
) -> None:
    # Two attempts, whose first response is discarded: each await in turn is hit.
    def answer(request: Any) -> Reply:
        return Reply(503 if request.number % 2 else 200, (), [b"one", b"two"])

    server = start_server(answer)
    orders = orders_at(server.url, server.url.replace("127.0.0.1", "localhost"))
    finished: list[int] = []
    left: list[int] = []

    async with kind.connect(orders) as client:
        # Every early moment; then ever later ones, for a busy machine.
        for moment in chain(range(300), (300 * 2**n for n in range(12))):
            turns = iter(range(moment))

            async def work() -> None:
                finished.append((await client.get(URL)).status_code)

            def is_time(turns: Any = turns) -> bool:
                return bool(finished) or next(turns, None) is None

            await cancel_after(kind, work, is_time)
            left.append(outcomes_of(orders)[2])
            if finished:
                break

    assert finished == [200]
    assert set(left) == {0}


async def test_many_at_once_are_all_given_back(
    kind: Kind, three_servers: list[LoopbackServer]
) -> None:
    orders = orders_at(*[s.url for s in three_servers], strategy="least_connections")

    async with kind.connect(orders) as client:
        if kind.loop == "asyncio":
            async with asyncio.TaskGroup() as group:
                for _ in range(200):
                    group.create_task(done(client.get(URL)))
        else:
            async with trio.open_nursery() as nursery:
                for _ in range(200):
                    nursery.start_soon(client.get, URL)

    assert outcomes_of(orders) == (200, 0, 0)
