"""A deadline that passes: in any step, the client's own timeout, and all is well."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Any

import anyio
import pytest

from lbtransport import RetryPolicy
from lbtransport._clock import ManualClock
from lbtransport._limits import is_limited
from tests.conftest import ServerStarter
from tests.httpx_family.kinds import (
    ASYNC_KINDS,
    SYNC_KINDS,
    Kind,
    answering,
    done,
    leaves_generators,
    orders_at,
    outcomes_of,
)
from tests.servers import (
    PATIENCE,
    Fate,
    LoopbackServer,
    Piece,
    Reply,
    hang,
    hold_hanging_port,
    reply,
)
from tests.slow import KEEPS_HANGING, trickling_body, trickling_headers

URL = "http://orders/items"
DEADLINE = 0.2
UPLOAD = bytes(20_000_000)  # more than the system's buffers hold

pytestmark = leaves_generators


@dataclass(frozen=True)
class Trouble:
    """A server that never finishes.

    Attributes:
        options: Of the server.
        raises: The client's own timeout.
        blames: Whether it speaks against the backend.
        scheme: Of the backend.
        method: Of the request.
    """

    options: dict[str, Any]
    raises: str
    blames: bool = True
    scheme: str = "http"
    method: str = "GET"


TROUBLES = {
    "trickling body": Trouble({"handler": trickling_body}, "ReadTimeout", blames=False),
    "stalled body": Trouble(
        {"handler": reply(body=[b"a", Fate.HANG])}, "ReadTimeout", blames=False
    ),
    "trickling headers": Trouble({"handler": trickling_headers}, "ReadTimeout"),
    "no answer": Trouble({"handler": hang}, "ReadTimeout"),
    "stalled upload": Trouble({"on_headers": hang}, "WriteTimeout", method="PUT"),
    "hanging handshake": Trouble(
        {"on_accept": lambda _: Fate.HANG}, "ConnectTimeout", scheme="https"
    ),
}


@pytest.mark.parametrize("trouble", TROUBLES.values(), ids=TROUBLES)
async def test_passed_deadline_is_a_timeout_and_leaves_nothing_behind(
    kind: Kind, start_server: ServerStarter, trouble: Trouble
) -> None:
    server = start_server(**trouble.options)
    orders = orders_at(f"{trouble.scheme}://{server.authority}", retry=False)
    narrow = kind.hx.Limits(max_connections=1)
    content = UPLOAD if trouble.method == "PUT" else b""

    async with kind.connect(orders, limits=narrow, client={"timeout": 60}) as client:
        request = client.build_request(trouble.method, URL, content=content)
        request.extensions["lbtransport"] = {"deadline": DEADLINE}
        with pytest.raises(kind.hx.TimeoutException) as caught:
            await done(client.send(request))
        in_flight = outcomes_of(orders)
        server.on_accept = server.on_headers = None
        server.handler = reply(body=b"well")
        if trouble.scheme == "http":
            assert (await done(client.get(URL))).content == b"well"

    assert in_flight == (1, int(trouble.blames), 0)
    assert not is_limited()
    # A busy loop may find both timers over, and then nobody knows the step any more.
    if not kind.is_async:
        assert type(caught.value).__name__ == trouble.raises
    assert caught.value.request is request


@KEEPS_HANGING
async def test_connecting_ends_at_the_deadline(kind: Kind) -> None:
    with hold_hanging_port() as port:
        orders = orders_at(f"http://127.0.0.1:{port}", deadline=DEADLINE, retry=False)
        async with kind.connect(orders, client={"timeout": 60}) as client:
            with pytest.raises(kind.hx.TimeoutException):
                await done(client.get(URL))

    assert outcomes_of(orders) == (1, 1, 0)


@KEEPS_HANGING
@pytest.mark.parametrize("kind", SYNC_KINDS, indirect=True, ids=str)
async def test_all_addresses_of_a_name_share_what_is_left(
    kind: Kind, resolve: Callable[..., None]
) -> None:
    resolve("many", ["127.0.0.1"] * 100)
    began = time.monotonic()

    with hold_hanging_port() as port:
        orders = orders_at(f"http://many:{port}", deadline=DEADLINE, retry=False)
        async with kind.connect(orders, client={"timeout": 60}) as client:
            with pytest.raises(kind.hx.ConnectTimeout):
                await done(client.get(URL))

    assert time.monotonic() - began < PATIENCE  # 20 s, if each had its own


async def test_another_address_of_a_name_is_tried(
    kind: Kind, server: LoopbackServer, resolve: Callable[..., None]
) -> None:
    resolve("two", ["127.0.0.2", "127.0.0.1"])
    orders = orders_at(f"http://two:{server.port}", deadline=PATIENCE)

    async with kind.connect(orders) as client:
        assert (await done(client.get(URL))).status_code == 200


async def test_name_without_an_address_is_the_clients_own_error(
    kind: Kind, resolve: Callable[..., None]
) -> None:
    resolve("none", [])
    orders = orders_at("http://none:80", deadline=PATIENCE, retry=False)

    async with kind.connect(orders) as client:
        with pytest.raises(kind.hx.ConnectError):
            await done(client.get(URL))


async def test_retries_do_not_sleep_past_the_deadline(
    kind: Kind, start_server: ServerStarter
) -> None:
    server = start_server(reply(503))
    patient = RetryPolicy(attempts=1000, min_wait=0.05, budget_ratio=None)
    orders = orders_at(server.url, deadline=DEADLINE, retry=patient)

    async with kind.connect(orders) as client:
        with contextlib.suppress(kind.hx.TimeoutException):  # in the last attempt
            assert (await done(client.get(URL))).status_code == 503

    assert len(server.requests) < 1000
    assert outcomes_of(orders)[2] == 0


async def test_attempt_that_takes_too_long_is_made_elsewhere(
    kind: Kind, start_server: ServerStarter
) -> None:
    slow, quick = start_server(trickling_headers), start_server(reply(body=b"quick"))
    hasty = RetryPolicy(attempt_timeout=DEADLINE)
    orders = orders_at(slow.url, quick.url, retry=hasty)

    async with kind.connect(orders) as client:
        assert (await done(client.get(URL))).content == b"quick"

    assert outcomes_of(orders) == (2, 1, 0)


async def test_body_may_take_longer_than_an_attempts_timeout(
    kind: Kind, start_server: ServerStarter
) -> None:
    def answer(_: object) -> Reply:
        def pieces() -> Iterator[Piece]:
            yield b"head"
            time.sleep(3 * DEADLINE)  # it is real time that the client would end
            yield b"tail"

        return Reply(body=pieces())

    hasty = RetryPolicy(attempt_timeout=DEADLINE)
    orders = orders_at(start_server(answer).url, retry=hasty)

    async with kind.connect(orders) as client:
        assert (await done(client.get(URL))).content == b"headtail"


@pytest.mark.parametrize("kind", SYNC_KINDS, indirect=True, ids=str)
async def test_deadline_holds_over_tls(
    kind: Kind, start_server: ServerStarter, authority: Any
) -> None:
    server = start_server(
        trickling_body, ssl_context=authority.server_context("127.0.0.1")
    )
    orders = orders_at(server.url, deadline=DEADLINE, retry=False, tls_name="backend")

    trust = authority.client_context()
    async with kind.connect(orders, verify=trust) as client:
        with pytest.raises(kind.hx.ReadTimeout):
            await done(client.get("https://orders/"))

    assert outcomes_of(orders) == (1, 0, 0)


@pytest.mark.parametrize("kind", SYNC_KINDS, indirect=True, ids=str)
async def test_connection_is_limited_whoever_makes_the_inner_transport(
    kind: Kind, start_server: ServerStarter
) -> None:
    """And it fails where httpcore keeps the maker of its streams elsewhere."""
    server = start_server(trickling_headers)
    orders = orders_at(server.url, deadline=DEADLINE, retry=False)
    inner = kind.inner("HTTPTransport")(verify=False)

    async with kind.connect(orders, transport_factory=lambda _: inner) as client:
        with pytest.raises(kind.hx.ReadTimeout):
            await done(client.get(URL))

    assert type(inner._pool._network_backend).__name__ == "LimitedConnector"


async def test_stalled_body_of_no_connection_is_cut_between_two_chunks(
    kind: Kind,
) -> None:
    clock = ManualClock()

    class Sync(kind.hx.SyncByteStream):  # type: ignore[misc,name-defined]
        def __iter__(self) -> Iterator[bytes]:
            yield b"one"
            raise kind.hx.ReadTimeout("one's own")

    class Async(kind.hx.AsyncByteStream):  # type: ignore[misc,name-defined]
        async def __aiter__(self) -> AsyncIterator[bytes]:
            yield b"one"
            raise kind.hx.ReadTimeout("one's own")

    stream = Async() if kind.is_async else Sync()
    factory = answering(kind, lambda _: kind.hx.Response(200, stream=stream))
    orders = orders_at("http://10.0.0.1", deadline=2, clock=clock)

    async with kind.connect(orders, transport_factory=factory) as client:
        response = await kind.open(client, URL)
        chunks = kind.chunks(response)
        await kind.next(chunks)
        with pytest.raises(kind.hx.ReadTimeout, match="one's own"):
            await kind.next(chunks)
        await kind.close(response)

    assert outcomes_of(orders) == (1, 1, 0)


@pytest.mark.parametrize("addresses", [["127.0.0.1", "127.0.0.2"]])
async def test_large_upload_in_time_arrives_whole(
    kind: Kind,
    server: LoopbackServer,
    resolve: Callable[..., None],
    addresses: list[str],
) -> None:
    resolve("two", addresses)
    orders = orders_at(f"http://two:{server.port}", deadline=60)

    async with kind.connect(orders) as client:
        await done(client.put(URL, content=bytes(200_000)))

    assert server.requests[0].body == bytes(200_000)


@pytest.mark.parametrize("kind", ASYNC_KINDS, indirect=True, ids=str)
async def test_chunk_that_never_comes_is_cancelled_at_the_deadline(kind: Kind) -> None:
    class Silent(kind.hx.AsyncByteStream):  # type: ignore[misc,name-defined]
        async def __aiter__(self) -> AsyncIterator[bytes]:
            await anyio.sleep_forever()
            yield b""

    factory = answering(kind, lambda _: kind.hx.Response(200, stream=Silent()))
    orders = orders_at("http://10.0.0.1", deadline=DEADLINE)

    async with kind.connect(orders, transport_factory=factory) as client:
        with pytest.raises(kind.hx.ReadTimeout, match="deadline"):
            await done(client.get(URL))

    assert outcomes_of(orders) == (1, 0, 0)
