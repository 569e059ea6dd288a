"""A pool that lost a connection is replaced, and one that is full is not.

httpcore 1.0.9 loses a connection, for good, if whoever waited for it gives up in the
moment in which it is his (encode/httpcore#1093): a cancelled task, an interrupted
thread.  httpcore2 does not, and trio lets no task give up in that moment.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import itertools
import threading
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anyio.lowlevel
import pytest
import trio

from lbtransport import LoadBalancer, RetryPolicy
from lbtransport._clock import ManualClock
from tests.conftest import ServerStarter
from tests.httpx_family.kinds import (
    KINDS,
    SYNC_KINDS,
    Kind,
    done,
    orders_at,
    outcomes_of,
)
from tests.servers import PATIENCE, Fate, LoopbackServer, Reply, Request, reply

URL = "http://orders/items"

# What loses a connection in the test below, so that something has to be healed.
LOSING = [k for k in KINDS if k.hx.__name__ == "httpx" and k.loop != "trio"]


def timeout_of(kind: Kind, pool: float = 0.1) -> dict[str, Any]:
    """Return a client's options: patient but for the pool."""
    return {"timeout": kind.hx.Timeout(PATIENCE, pool=pool)}


@contextlib.asynccontextmanager
async def narrow(
    kind: Kind, orders: LoadBalancer, most: int = 1, **options: Any
) -> AsyncIterator[Any]:
    """Give a client that has few connections to each backend."""
    limits = kind.hx.Limits(max_connections=most)
    client = {**timeout_of(kind), **options}
    async with kind.connect(orders, limits=limits, client=client) as made:
        yield made


def closing(_: Request) -> Reply:
    """Close the connection after the answer, so the next request needs a new one."""
    return Reply(headers=[("Connection", "close")], then=Fate.CLOSE)


async def lose_a_connection(kind: Kind, client: Any) -> None:
    """Give the only connection to somebody who gives up in that moment."""
    patience = kind.hx.Timeout(PATIENCE)
    held = await kind.open(client, URL, timeout=patience)
    if kind.loop == "asyncio":
        task = asyncio.ensure_future(client.get(URL, timeout=patience))
        await turns()
        await kind.close(held)  # here it becomes his
        task.cancel()
        await asyncio.wait([task])
    elif kind.loop == "trio":
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lambda: client.get(URL, timeout=patience))
            await turns()
            await kind.close(held)
            nursery.cancel_scope.cancel()
    else:
        interrupt_whoever_waits(kind, client, held, patience)


async def turns() -> None:
    """Let the other tasks go as far as they can go."""
    for _ in range(50):
        await anyio.lowlevel.checkpoint()


def interrupt_whoever_waits(kind: Kind, client: Any, held: Any, patience: Any) -> None:
    """Do in a thread what Ctrl-C does when it comes as the thread wakes."""
    core = importlib.import_module(kind.hx.__name__.replace("httpx", "httpcore"))
    event = core._synchronization.Event
    wait, waits, ended = event.wait, threading.Event(), []

    def wait_and_be_interrupted(self: Any, timeout: float | None = None) -> None:
        waits.set()
        wait(self, timeout)
        raise KeyboardInterrupt

    def get() -> None:
        with pytest.raises(KeyboardInterrupt):
            client.get(URL, timeout=patience)
        ended.append(True)

    thread = threading.Thread(target=get)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(event, "wait", wait_and_be_interrupted)
        thread.start()
        assert waits.wait(PATIENCE)
        held.close()
        thread.join(PATIENCE)
    assert ended == [True]


async def at_once(kind: Kind, client: Any, count: int) -> list[int | str]:
    """Return what came of so many GETs at the same time: statuses, names of errors."""
    results: list[int | str] = []

    async def get() -> None:
        try:
            results.append((await done(client.get(URL))).status_code)
        except kind.hx.TransportError as error:
            results.append(type(error).__name__)

    if kind.is_async:
        async with anyio.create_task_group() as group:
            for _ in range(count):
                group.start_soon(get)
    else:
        with ThreadPoolExecutor(count) as pool:
            for _ in range(count):
                pool.submit(asyncio.run, get())
    return results


@pytest.mark.parametrize("kind", LOSING, indirect=True, ids=str)
async def test_bare_client_never_recovers_from_a_lost_connection(
    kind: Kind, start_server: ServerStarter
) -> None:
    # Why all this is here; where it fails, httpcore has learnt it.
    server = start_server(closing)
    made: list[Any] = []

    def factory(_: Any) -> Any:
        if not made:
            limits = kind.hx.Limits(max_connections=1)
            made.append(kind.inner("HTTPTransport")(limits=limits, verify=False))
        return made[0]  # always the same, so nothing is replaced

    orders = orders_at(server.url, retry=False)
    options = timeout_of(kind)
    async with kind.connect(
        orders, transport_factory=factory, client=options
    ) as client:
        await lose_a_connection(kind, client)
        for _ in range(2):
            with pytest.raises(kind.hx.PoolTimeout):
                await done(client.get(URL))

    assert outcomes_of(orders) == (4, 0, 0)


async def test_request_goes_by_a_new_pool_when_a_connection_was_lost(
    kind: Kind, start_server: ServerStarter
) -> None:
    server = start_server(closing)
    orders = orders_at(server.url, retry=False)

    async with narrow(kind, orders) as client:
        await lose_a_connection(kind, client)
        body = kind.body_of(
            b"one", b"two"
        )  # can be sent once, and POST is not repeated
        response = await done(client.post(URL, content=body))

    assert response.status_code == 200
    assert [request.body for request in server.requests] == [b"", b"onetwo"]
    assert outcomes_of(orders) == (3, 0, 0)


@pytest.mark.parametrize("kind", LOSING, indirect=True, ids=str)
async def test_all_who_wait_for_a_lost_connection_are_served(
    kind: Kind, start_server: ServerStarter
) -> None:
    server = start_server(closing)
    orders = orders_at(server.url, retry=False)

    # The new pool, too, serves one after the other: a busy machine needs its time.
    async with narrow(kind, orders, **timeout_of(kind, pool=5.0)) as client:
        await lose_a_connection(kind, client)
        statuses = await at_once(kind, client, 5)

    assert statuses == [200] * 5
    assert outcomes_of(orders) == (7, 0, 0)


@pytest.mark.parametrize("kind", LOSING, indirect=True, ids=str)
async def test_response_of_the_replaced_pool_ends_in_peace_and_then_it_is_closed(
    kind: Kind, start_server: ServerStarter
) -> None:
    gate = threading.Event()

    def answer(request: Request) -> Reply:
        if request.target == "/stream":
            return Reply(body=[b"one", gate, b"two"])
        return closing(request) if request.number == 2 else Reply()

    server = start_server(answer)
    orders = orders_at(server.url, retry=False)

    async with narrow(kind, orders, most=2) as client:
        stream = await kind.open(client, "http://orders/stream")
        await lose_a_connection(kind, client)
        await done(client.get(URL))
        open_while_reading = server.open_connections
        gate.set()
        body = await kind.read(stream)
        server.wait_until(lambda server: server.open_connections == 1)
        await done(client.get(URL))

    assert (open_while_reading, body) == (2, b"onetwo")
    # The stream's, one that the server closed, the new pool's; the lost one never was.
    assert server.connections == 3


@pytest.mark.parametrize("kind", LOSING, indirect=True, ids=str)
async def test_nothing_is_sent_after_the_deadline_but_the_next_request_is_served(
    kind: Kind, start_server: ServerStarter
) -> None:
    server = start_server(closing)
    orders = orders_at(server.url, retry=False)

    async with narrow(kind, orders, timeout=PATIENCE) as client:
        await lose_a_connection(kind, client)
        with pytest.raises(kind.hx.PoolTimeout):
            options = {"lbtransport": {"deadline": 0.1}}
            await done(client.get(URL, extensions=options))
        response = await done(client.get(URL))

    assert response.status_code == 200
    assert len(server.requests) == 2


@pytest.mark.parametrize("kind", LOSING, indirect=True, ids=str)
async def test_request_has_what_is_left_of_its_deadline_when_it_goes_again(
    kind: Kind, start_server: ServerStarter
) -> None:
    server = start_server(closing)
    orders = orders_at(server.url, retry=False)

    async with narrow(kind, orders) as client:
        await lose_a_connection(kind, client)
        server.handler = reply(body=[threading.Event()])
        with pytest.raises(kind.hx.ReadTimeout):
            options = {"lbtransport": {"deadline": 1.0}}
            await done(client.get(URL, extensions=options))

    assert len(server.requests) == 2


@pytest.mark.parametrize("most", [1, 3])
async def test_pool_that_is_full_says_so_and_stays(
    kind: Kind, server: LoopbackServer, most: int
) -> None:
    server.handler = reply(body=[b"one", b"two"])
    orders = orders_at(server.url, retry=False)

    async with narrow(kind, orders, most) as client:
        held = [await kind.open(client, URL) for _ in range(most)]
        with pytest.raises(kind.hx.PoolTimeout):
            await done(client.get(URL))
        for response in held:
            await kind.read(response)
        await done(client.get(URL))

    assert server.connections == most
    assert outcomes_of(orders) == (most + 2, 0, 0)


async def test_full_pool_sends_the_request_to_another_backend(
    kind: Kind, three_servers: list[LoopbackServer]
) -> None:
    orders = orders_at(*[server.url for server in three_servers])

    async with narrow(kind, orders) as client:
        held = await kind.open(client, URL)
        response = await done(client.post(URL))
        await kind.close(held)

    assert response.text == "1"
    assert outcomes_of(orders) == (3, 0, 0)


async def test_pool_that_is_full_stays_however_many_wait(
    kind: Kind, start_server: ServerStarter
) -> None:
    gate = threading.Event()
    server = start_server(reply(body=[b"one", gate]))
    orders = orders_at(server.url, retry=False)

    async with narrow(kind, orders) as client:
        held = await kind.open(client, URL)
        results = await at_once(kind, client, 5)
        gate.set()
        await kind.read(held)

    assert results == ["PoolTimeout"] * 5
    assert server.connections == 1
    assert outcomes_of(orders) == (6, 0, 0)


async def test_response_that_was_closed_unread_or_discarded_takes_no_room(
    kind: Kind, start_server: ServerStarter
) -> None:
    failing, other = start_server(reply(503)), start_server(reply(404))
    orders = orders_at(failing.url, other.url)

    async with narrow(kind, orders) as client:
        await kind.close(await kind.open(client, URL))  # the 503 is discarded
        pools = list(client._transport._pools._pools.values())

    assert [len(pool.open) for pool in pools] == [0, 0]


class Exhausted:
    """An inner transport that never has a connection, and tells what was done to it."""

    def __init__(self, kind: Kind, *, reads: bool = False) -> None:
        self._kind = kind
        self._reads = reads
        self.asked = 0
        self.closed = 0

    def handle_request(self, request: Any) -> Any:
        self.asked += 1
        if self._reads:
            list(request.stream)
        raise self._kind.hx.PoolTimeout("no connection")

    async def handle_async_request(self, request: Any) -> Any:
        self.asked += 1
        if self._reads:
            [chunk async for chunk in request.stream]
        raise self._kind.hx.PoolTimeout("no connection")

    def close(self) -> None:
        self.closed += 1

    async def aclose(self) -> None:
        self.closed += 1


async def test_transport_of_a_factory_is_replaced_too(kind: Kind) -> None:
    exhausted = Exhausted(kind)
    well = kind.hx.MockTransport(lambda _: kind.hx.Response(200))
    left = [exhausted, well]
    orders = orders_at("http://10.0.0.1", retry=False)

    async with kind.connect(orders, transport_factory=lambda _: left.pop(0)) as client:
        first = await done(client.get(URL))
        await done(client.get(URL))
        closed = exhausted.closed

    assert first.status_code == 200
    assert (exhausted.asked, closed, left) == (1, 1, [])


async def test_request_goes_again_once_for_each_attempt(kind: Kind) -> None:
    made: list[Exhausted] = []

    def factory(_: Any) -> Any:
        made.append(Exhausted(kind))
        return made[-1]

    orders = orders_at("http://10.0.0.1", retry=False)
    async with kind.connect(orders, transport_factory=factory) as client:
        with pytest.raises(kind.hx.PoolTimeout) as caught:
            await done(client.get(URL))

    assert [transport.asked for transport in made] == [1, 1]
    assert caught.value.__context__ is None
    assert outcomes_of(orders) == (1, 0, 0)


class Waiting(Exhausted):
    """Has no connection for 60 s, by a clock of the test, and notes the timeouts."""

    def __init__(self, kind: Kind, clock: ManualClock) -> None:
        super().__init__(kind)
        self._clock = clock
        self.timeouts: list[float] = []

    def _wait(self, request: Any) -> None:
        self.timeouts.append(request.extensions["timeout"]["pool"])
        self._clock.advance(60.0)

    def handle_request(self, request: Any) -> Any:
        self._wait(request)
        return super().handle_request(request)

    async def handle_async_request(self, request: Any) -> Any:
        self._wait(request)
        return await super().handle_async_request(request)


@pytest.mark.parametrize(
    ("attempt_timeout", "timeouts"), [(100.0, [100.0, 40.0]), (60.0, [60.0])]
)
async def test_request_goes_again_within_the_time_of_its_attempt(
    kind: Kind, attempt_timeout: float, timeouts: list[float]
) -> None:
    clock = ManualClock()
    made: list[Waiting] = []

    def factory(_: Any) -> Any:
        made.append(Waiting(kind, clock))
        return made[-1]

    policy = RetryPolicy(attempts=1, attempt_timeout=attempt_timeout)
    orders = orders_at("http://10.0.0.1", retry=policy, clock=clock)
    client = {"timeout": None}
    async with kind.connect(orders, client=client, transport_factory=factory) as it:
        with pytest.raises(kind.hx.PoolTimeout):
            await done(it.get(URL))

    assert [one for transport in made for one in transport.timeouts] == timeouts


async def test_only_transport_of_a_factory_stays(kind: Kind) -> None:
    only = Exhausted(kind)
    orders = orders_at("http://10.0.0.1", retry=False)

    async with kind.connect(orders, transport_factory=lambda _: only) as client:
        for _ in range(2):
            with pytest.raises(kind.hx.PoolTimeout):
                await done(client.get(URL))
        closed = only.closed

    assert (only.asked, closed, only.closed) == (2, 0, 1)


async def test_request_whose_body_was_touched_does_not_go_again(kind: Kind) -> None:
    made: list[Exhausted] = []

    def factory(_: Any) -> Any:
        made.append(Exhausted(kind, reads=True))
        return made[-1]

    orders = orders_at("http://10.0.0.1")
    async with kind.connect(orders, transport_factory=factory) as client:
        with pytest.raises(kind.hx.PoolTimeout):
            await done(client.post(URL, content=kind.body_of(b"once")))

    assert [transport.asked for transport in made] == [1]


@pytest.mark.parametrize("kind", SYNC_KINDS, indirect=True, ids=str)
async def test_pool_that_another_made_meanwhile_is_used(kind: Kind) -> None:
    # As two threads may find at the same time that there is none.
    numbers = itertools.count()
    orders = orders_at("http://10.0.0.1")

    def factory(_: Any) -> Any:
        number = next(numbers)
        if number == 0:
            client.get(URL)
        return kind.hx.MockTransport(lambda _: kind.hx.Response(200, text=str(number)))

    async with kind.connect(orders, transport_factory=factory) as client:
        answers = [client.get(URL).text for _ in range(2)]

    assert answers == ["1", "1"]
