"""How long connections are kept, and how many there are."""

from __future__ import annotations

import importlib
import threading
import types
from typing import Any

import pytest

import lbtransport
from lbtransport import LoadBalancer
from lbtransport._clock import ManualClock
from tests.conftest import ServerStarter
from tests.httpx_family.kinds import Kind, done, orders_at, outcomes_of
from tests.servers import LoopbackServer, Reply, Request

URL = "http://orders/items"


@pytest.fixture
def idle_clock(kind: Kind, monkeypatch: pytest.MonkeyPatch) -> ManualClock:
    """Give the clock by which the client's pools see a connection idle too long."""
    core = kind.hx.__name__.replace("httpx", "httpcore")
    flavour = "_async" if kind.is_async else "_sync"
    module = importlib.import_module(f"{core}.{flavour}.http11")
    clock = ManualClock()
    monkeypatch.setattr(
        module, "time", types.SimpleNamespace(monotonic=clock.monotonic)
    )
    return clock


@pytest.mark.parametrize(
    ("limits", "kept", "expired"),
    [
        (None, 59.0, 61.0),
        ({"keepalive_expiry": 5.0}, 4.0, 6.0),
        ({"keepalive_expiry": 600.0, "max_connections": None}, 599.0, 601.0),
    ],
)
async def test_idle_connection_is_kept_for_a_minute_or_as_the_limits_say(
    kind: Kind,
    server: LoopbackServer,
    idle_clock: ManualClock,
    *,
    limits: dict[str, Any] | None,
    kept: float,
    expired: float,
) -> None:
    given = kind.hx.Limits(**limits) if limits else None
    connections = []

    async with kind.connect(orders_at(server.url), limits=given) as client:
        for idle in (0.0, kept, expired):
            idle_clock.advance(idle)
            await done(client.get(URL))
            connections.append(server.connections)

    assert connections == [1, 1, 2]


@pytest.mark.parametrize("expiry", [None, 600.0])
async def test_connection_that_passes_through_is_kept_as_by_the_bare_client(
    kind: Kind, server: LoopbackServer, idle_clock: ManualClock, expiry: float | None
) -> None:
    limits = kind.hx.Limits(keepalive_expiry=expiry) if expiry else None
    bare = kind.client(**({"limits": limits} if limits else {}))
    connections: list[list[int]] = []

    async with kind.connect(orders_at("http://10.0.0.1"), limits=limits) as ours:
        for client in (bare, ours):
            seen = server.connections
            connections.append([])
            for idle in (0.0, 4.0, 6.0, 599.0, 601.0):
                idle_clock.advance(idle)
                await done(client.get(server.url))
                connections[-1].append(server.connections - seen)
    await kind.close(bare)

    assert connections[0] == connections[1]


async def test_hundred_backends_in_turn_keep_their_connections(
    kind: Kind, start_server: ServerStarter
) -> None:
    # All of 127.0.0.0/8 is this machine, so one server stands for all.
    server = start_server(host="0.0.0.0")
    urls = [f"http://127.0.0.{number}:{server.port}" for number in range(1, 101)]
    orders = LoadBalancer("orders", urls, strategy="round_robin")

    async with kind.connect(orders) as client:
        for _ in range(100):
            await done(client.get(URL))
        first_round = server.connections
        for _ in range(100):
            await done(client.get(URL))

    assert first_round == 100
    assert server.connections - first_round <= 0.01 * 100


async def test_connection_takes_no_request_beyond_its_age(
    kind: Kind, server: LoopbackServer
) -> None:
    clock = ManualClock()
    orders = orders_at(server.url, clock=clock)
    connections = []

    async with kind.connect(orders, max_connection_age=300) as client:
        for seconds in (0.0, 150.0, 149.9, 0.1, 299.9, 0.1):
            clock.advance(seconds)
            await done(client.get(URL))
            connections.append(server.connections)
            # The old one is closed when the first response by the new one ended.
            server.wait_until(lambda server: server.open_connections == 1)

    assert connections == [1, 1, 1, 2, 2, 3]


async def test_connections_have_no_greatest_age_unless_it_is_given(
    kind: Kind, server: LoopbackServer
) -> None:
    clock = ManualClock()

    async with kind.connect(orders_at(server.url, clock=clock)) as client:
        for _ in range(3):
            clock.advance(1e9)
            await done(client.get(URL))

    assert server.connections == 1


async def test_response_by_a_connection_that_grew_too_old_ends_in_peace(
    kind: Kind, start_server: ServerStarter
) -> None:
    gate = threading.Event()

    def answer(request: Request) -> Reply:
        return Reply(body=[b"one", gate, b"two"] if request.number == 1 else b"")

    server, clock = start_server(answer), ManualClock()
    orders = orders_at(server.url, clock=clock)

    async with kind.connect(orders, max_connection_age=60) as client:
        response = await kind.open(client, URL)
        clock.advance(60)
        await done(client.get(URL))
        open_while_reading = server.open_connections
        gate.set()
        body = await kind.read(response)
        server.wait_until(lambda server: server.open_connections == 1)
        await done(client.get(URL))

    assert (open_while_reading, body) == (2, b"onetwo")
    assert server.connections == 2


async def test_logical_urls_of_one_backend_share_the_connections_that_replace_the_old(
    kind: Kind, server: LoopbackServer
) -> None:
    clock = ManualClock()
    orders = orders_at(server.url, clock=clock)

    async with kind.connect(orders, max_connection_age=60) as client:
        await done(client.get("http://orders/"))
        await done(client.get("http://orders:8080/"))
        clock.advance(60)
        await done(client.get("http://orders:8080/"))
        server.wait_until(lambda server: server.open_connections == 1)
        await done(client.get("http://orders/"))

    assert server.connections == 2


async def test_only_transport_of_a_factory_outlives_its_age(
    kind: Kind, server: LoopbackServer
) -> None:
    clock = ManualClock()
    only = kind.inner("HTTPTransport")(verify=False)
    orders = orders_at(server.url, clock=clock)

    async with kind.connect(
        orders, max_connection_age=60, transport_factory=lambda _: only
    ) as client:
        for _ in range(3):
            await done(client.get(URL))
            clock.advance(60)

    assert server.connections == 1


async def test_factory_is_asked_again_when_a_transport_is_too_old(
    kind: Kind, server: LoopbackServer
) -> None:
    clock = ManualClock()
    made: list[Any] = []

    def factory(_: Any) -> Any:
        made.append(kind.inner("HTTPTransport")(verify=False))
        return made[-1]

    orders = orders_at(server.url, clock=clock)
    async with kind.connect(
        orders, max_connection_age=60, transport_factory=factory
    ) as client:
        for seconds in (0, 59, 1):
            clock.advance(seconds)
            await done(client.get(URL))

    assert (len(made), server.connections) == (2, 2)


@pytest.mark.parametrize("age", [0, -1.0, "5", True, float("nan"), float("inf")])
async def test_age_that_is_no_time_is_refused(kind: Kind, age: Any) -> None:
    with pytest.raises(lbtransport.ConfigurationError, match="max_connection_age"):
        kind.transport(orders_at("http://10.0.0.1"), max_connection_age=age)


async def test_backend_that_refuses_is_blamed_though_its_pool_is_new(
    kind: Kind, refused_url: str
) -> None:
    orders = orders_at(refused_url, retry=False, clock=(clock := ManualClock()))

    async with kind.connect(orders, max_connection_age=60) as client:
        for _ in range(2):
            clock.advance(60)
            with pytest.raises(kind.hx.ConnectError):
                await done(client.get(URL))

    assert outcomes_of(orders) == (2, 2, 0)
