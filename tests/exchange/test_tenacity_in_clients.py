"""A user's own tenacity object, through the real clients and over real bytes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import requests
import tenacity
from anyio.lowlevel import checkpoint
from tenacity.asyncio import retry_if_result

import lbtransport
from lbtransport import LoadBalancer
from lbtransport.requests import mount
from tests.conftest import ServerStarter
from tests.core_kit import in_flight
from tests.httpx_family.kinds import ASYNC_KINDS, KINDS, SYNC_KINDS, Kind, done
from tests.servers import LoopbackServer, Request, reply

URL = "http://orders/items"
CALLBACKS = ("before", "after", "before_sleep")

every_kind = pytest.mark.parametrize("kind", KINDS, ids=str)
every_async_kind = pytest.mark.parametrize("kind", ASYNC_KINDS, ids=str)
every_sync_kind = pytest.mark.parametrize("kind", SYNC_KINDS, ids=str)


@pytest.fixture
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """Run under the kind's own loop."""
    kind: Kind = request.getfixturevalue("kind")
    return kind.loop or "asyncio"


@pytest.fixture
def busy_twice(start_server: ServerStarter) -> LoopbackServer:
    """Start a server that has time for the third request."""

    def answer(request: Request) -> Any:
        return reply(503 if request.number < 3 else 200)(request)

    return start_server(answer)


def is_busy(response: Any) -> bool:
    return bool(response.status_code == 503)


async def is_busy_async(response: Any) -> bool:
    await checkpoint()
    return is_busy(response)


IF_BUSY = tenacity.retry_if_result(is_busy)
WHOLE = [
    ("before", 1, None),
    ("after", 1, 503),
    ("before_sleep", 1, 503),
    ("sleep", 0.0),
    ("before", 2, None),
    ("after", 2, 503),
    ("before_sleep", 2, 503),
    ("sleep", 0.0),
    ("before", 3, None),
]


class Diary:
    """Callbacks that note what they are told."""

    def __init__(self) -> None:
        self.entries: list[tuple[object, ...]] = []

    def note(self, what: str) -> Callable[[tenacity.RetryCallState], None]:
        def callback(state: tenacity.RetryCallState) -> None:
            status = state.outcome and state.outcome.result().status_code
            self.entries.append((what, state.attempt_number, status))

        return callback

    def note_async(
        self, what: str
    ) -> Callable[[tenacity.RetryCallState], Awaitable[None]]:
        async def callback(state: tenacity.RetryCallState) -> None:
            await checkpoint()
            self.note(what)(state)

        return callback

    def sleep(self, seconds: float) -> None:
        self.entries.append(("sleep", seconds))

    async def sleep_async(self, seconds: float) -> None:
        await checkpoint()
        self.sleep(seconds)

    def retrying(self, **options: Any) -> tenacity.Retrying:
        callbacks: dict[str, Any] = {what: self.note(what) for what in CALLBACKS}
        return tenacity.Retrying(sleep=self.sleep, **{**callbacks, **options})

    def awaiting(self, **options: Any) -> tenacity.AsyncRetrying:
        callbacks: dict[str, Any] = {what: self.note_async(what) for what in CALLBACKS}
        return tenacity.AsyncRetrying(
            sleep=self.sleep_async, **{**callbacks, **options}
        )


def test_requests_is_told_all(busy_twice: LoopbackServer) -> None:
    diary = Diary()
    orders = LoadBalancer(
        "orders", [busy_twice.url], retry=diary.retrying(retry=IF_BUSY)
    )

    with requests.Session() as session:
        mount(session, orders)
        response = session.get(URL)

    assert response.status_code == 200
    assert diary.entries == WHOLE


@every_sync_kind
async def test_synchronous_client_is_told_all(
    kind: Kind, busy_twice: LoopbackServer
) -> None:
    diary = Diary()
    orders = LoadBalancer(
        "orders", [busy_twice.url], retry=diary.retrying(retry=IF_BUSY)
    )

    async with kind.connect(orders) as client:
        response = client.get(URL)

    assert response.status_code == 200
    assert diary.entries == WHOLE


@every_async_kind
async def test_asynchronous_client_awaits_all(
    kind: Kind, busy_twice: LoopbackServer
) -> None:
    diary = Diary()
    own = diary.awaiting(retry=retry_if_result(is_busy_async))

    async with kind.connect(
        LoadBalancer("orders", [busy_twice.url], retry=own)
    ) as client:
        response = await client.get(URL)

    assert response.status_code == 200
    assert diary.entries == WHOLE


@every_async_kind
async def test_synchronous_object_in_an_asynchronous_client(
    kind: Kind, busy_twice: LoopbackServer
) -> None:
    own = tenacity.Retrying(retry=IF_BUSY)

    async with kind.connect(
        LoadBalancer("orders", [busy_twice.url], retry=own)
    ) as client:
        response = await client.get(URL)

    assert response.status_code == 200


@every_kind
async def test_exhausted_answers_leave_the_last_one_readable(
    kind: Kind, start_server: ServerStarter
) -> None:
    server = start_server(reply(503, body=b"busy"))
    made = tenacity.AsyncRetrying if kind.is_async else tenacity.Retrying
    own = made(stop=tenacity.stop_after_attempt(2), retry=IF_BUSY, reraise=True)
    orders = LoadBalancer("orders", [server.url], retry=own)

    async with kind.connect(orders) as client:
        response = await done(client.get(URL))

    assert (response.status_code, response.text) == (503, "busy")
    assert len(server.requests) == 2
    assert in_flight(orders) == 0


@every_kind
async def test_last_callback_may_answer_in_place_of_the_backend(
    kind: Kind, start_server: ServerStarter
) -> None:
    def fall_back(state: tenacity.RetryCallState) -> Any:
        return kind.hx.Response(203, text="fallback")

    async def fall_back_async(state: tenacity.RetryCallState) -> Any:
        await checkpoint()
        return fall_back(state)

    server = start_server(reply(503, body=b"busy"))
    made = tenacity.AsyncRetrying if kind.is_async else tenacity.Retrying
    own = made(
        stop=tenacity.stop_after_attempt(2),
        retry=IF_BUSY,
        retry_error_callback=fall_back_async if kind.is_async else fall_back,
    )
    orders = LoadBalancer("orders", [server.url], retry=own)

    async with kind.connect(orders) as client:
        response = await done(client.get(URL))

    assert (response.status_code, response.text) == (203, "fallback")
    assert in_flight(orders) == 0


def nothing(state: tenacity.RetryCallState) -> None:
    """End without an answer."""


@every_kind
async def test_last_callback_that_has_no_answer_is_told_so(
    kind: Kind, start_server: ServerStarter
) -> None:
    own = tenacity.Retrying(
        stop=tenacity.stop_after_attempt(2), retry=IF_BUSY, retry_error_callback=nothing
    )
    orders = LoadBalancer("orders", [start_server(reply(503)).url], retry=own)

    async with kind.connect(orders) as client:
        with pytest.raises(lbtransport.ConfigurationError, match="no response"):
            await done(client.get(URL))

    assert in_flight(orders) == 0


def test_last_callback_that_has_no_answer_is_told_so_by_requests(
    start_server: ServerStarter,
) -> None:
    own = tenacity.Retrying(
        stop=tenacity.stop_after_attempt(2), retry=IF_BUSY, retry_error_callback=nothing
    )
    orders = LoadBalancer("orders", [start_server(reply(503)).url], retry=own)

    with requests.Session() as session:
        mount(session, orders)
        with pytest.raises(lbtransport.ConfigurationError, match="no response"):
            session.get(URL)

    assert in_flight(orders) == 0


@every_sync_kind
async def test_awaiting_object_is_refused_by_a_synchronous_client(
    kind: Kind, server: LoopbackServer
) -> None:
    orders = LoadBalancer("orders", [server.url], retry=tenacity.AsyncRetrying())

    async with kind.connect(orders) as client:
        with pytest.raises(lbtransport.ConfigurationError, match="must be awaited"):
            client.get(URL)

    assert server.connections == 0


def test_awaiting_object_is_refused_by_requests(server: LoopbackServer) -> None:
    orders = LoadBalancer("orders", [server.url], retry=tenacity.AsyncRetrying())

    with requests.Session() as session:
        mount(session, orders)
        with pytest.raises(lbtransport.ConfigurationError, match="must be awaited"):
            session.get(URL)

    assert server.connections == 0


@every_async_kind
async def test_blocking_sleep_is_refused_by_an_asynchronous_client(
    kind: Kind, server: LoopbackServer
) -> None:
    own = tenacity.Retrying(sleep=lambda seconds: None)

    async with kind.connect(LoadBalancer("orders", [server.url], retry=own)) as client:
        with pytest.raises(lbtransport.ConfigurationError, match="would block"):
            await client.get(URL)

    assert server.connections == 0
