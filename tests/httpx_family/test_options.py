"""Options of single requests, and the deadline of a service."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

import lbtransport
from lbtransport import options
from lbtransport._clock import ManualClock
from tests.conftest import ServerStarter
from tests.httpx_family.kinds import (
    Kind,
    Preferring,
    answering,
    done,
    in_flight,
    leaves_generators,
    orders_at,
    outcomes_of,
)
from tests.servers import LoopbackServer, Reply, close_without_answer, hang, reply

URL = "http://orders/items"
BACKEND = "http://10.0.0.1"


class KeyStrategy(Preferring):
    """A strategy that remembers the keys it was given."""

    def __init__(self) -> None:
        super().__init__([])
        self.keys: list[object] = []

    def choose(self, candidates: Any, *, key: Any, **rest: Any) -> Any:
        self.keys.append(key)
        return super().choose(candidates, key=key, **rest)


async def test_deadline_caps_each_timeout_of_the_client(kind: Kind) -> None:
    seen: list[dict[str, float]] = []

    def answer(request: Any) -> Any:
        seen.append(request.extensions["timeout"])
        return kind.hx.Response(200)

    orders = orders_at(BACKEND, deadline=2, clock=ManualClock())
    timeout = kind.hx.Timeout(None, connect=1, read=3)
    factory = answering(kind, answer)

    async with kind.connect(orders, transport_factory=factory) as client:
        await done(client.get(URL, timeout=timeout))

    assert seen == [{"connect": 1, "read": 2, "write": 2, "pool": 2}]


@pytest.mark.parametrize("given", [{}, {"read": 1}])
async def test_deadline_caps_timeouts_that_a_request_leaves_away(
    kind: Kind, given: dict[str, float]
) -> None:
    seen: list[dict[str, float]] = []

    def answer(request: Any) -> Any:
        seen.append(request.extensions["timeout"])
        return kind.hx.Response(200)

    orders = orders_at(BACKEND, deadline=2, clock=ManualClock())
    factory = answering(kind, answer)

    async with kind.connect(orders, transport_factory=factory) as client:
        await done(client.get(URL, extensions={"timeout": given}))

    every = {"connect": 2, "read": 2, "write": 2, "pool": 2}
    assert seen == [every | given]


async def test_deadline_leaves_less_time_to_each_further_attempt(kind: Kind) -> None:
    clock = ManualClock()
    seen: list[float] = []

    def answer(request: Any) -> Any:
        seen.append(request.extensions["timeout"]["read"])
        clock.advance(0.5)
        return kind.hx.Response(503)

    orders = orders_at(*[f"{BACKEND}:{port}" for port in (1, 2, 3)], clock=clock)
    factory = answering(kind, answer)

    async with kind.connect(orders, transport_factory=factory) as client:
        with options(deadline=2):
            await done(client.get(URL))

    assert seen == [2, 1.5, 1]


async def test_without_a_deadline_the_clients_timeouts_are_its_own(kind: Kind) -> None:
    seen: list[Any] = []

    def answer(request: Any) -> Any:
        seen.append(request.extensions)
        return kind.hx.Response(200)

    factory = answering(kind, answer)
    async with kind.connect(orders_at(BACKEND), transport_factory=factory) as client:
        request = client.build_request("GET", URL, timeout=7)
        await done(client.send(request))

    assert seen == [request.extensions]


async def test_silent_server_ends_with_a_timeout_at_the_deadline(
    kind: Kind, start_server: ServerStarter
) -> None:
    server = start_server(hang)

    async with kind.connect(orders_at(server.url, deadline=0.1)) as client:
        with pytest.raises(kind.hx.ReadTimeout):
            await done(client.get(URL, timeout=None))

    assert len(server.requests) == 1


@leaves_generators
async def test_trickling_body_ends_at_the_deadline_and_blames_nobody(
    kind: Kind, start_server: ServerStarter
) -> None:
    clock = ManualClock()

    def trickle(_: Any) -> Iterator[bytes]:
        yield b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"
        for _ in range(1000):
            clock.advance(0.1)
            yield b"x"

    server = start_server(trickle)
    orders = orders_at(server.url, deadline=2, clock=clock)

    async with kind.connect(orders) as client:
        request = client.build_request("GET", URL)
        with pytest.raises(kind.hx.ReadTimeout, match="deadline of 2 s") as caught:
            await done(client.send(request))

    assert caught.value.request is request
    assert outcomes_of(orders) == (1, 0, 0)


async def test_body_that_came_in_time_is_not_refused_afterwards(
    kind: Kind, start_server: ServerStarter
) -> None:
    clock = ManualClock()
    server = start_server(reply(body=b"whole"))
    orders = orders_at(server.url, deadline=2, clock=clock)

    async with kind.connect(orders) as client:
        response = await kind.open(client, URL)
        chunks = kind.chunks(response)
        received = [await kind.next(chunks)]
        clock.advance(10)  # the caller thinks about it
        received += await kind.all(chunks)

    assert received == [b"whole"]


@leaves_generators
async def test_chunk_that_comes_after_the_deadline_is_refused(
    kind: Kind, start_server: ServerStarter
) -> None:
    clock = ManualClock()
    gate = threading.Event()
    server = start_server(reply(body=[b"in time", gate, b"late"]))
    orders = orders_at(server.url, deadline=2, clock=clock)

    async with kind.connect(orders) as client:
        response = await kind.open(client, URL)
        chunks = kind.chunks(response)
        first = await kind.next(chunks)
        clock.advance(2)
        gate.set()
        with pytest.raises(kind.hx.ReadTimeout, match="deadline"):
            await kind.next(chunks)
        await kind.close(response)

    assert first == b"in time"
    assert outcomes_of(orders) == (1, 0, 0)


async def test_key_reaches_the_strategy_by_option_and_by_extension(kind: Kind) -> None:
    strategy = KeyStrategy()
    orders = orders_at(BACKEND, strategy=strategy)
    factory = answering(kind, lambda _: kind.hx.Response(200))

    async with kind.connect(orders, transport_factory=factory) as client:
        await done(client.get(URL))
        with options(key="outer"):
            await done(client.get(URL))
            extension = {"lbtransport": {"key": "inner"}}
            await done(client.get(URL, extensions=extension))

    assert strategy.keys == [None, "outer", "inner"]


@pytest.mark.parametrize("how", ["option", "extension"])
async def test_post_that_is_declared_idempotent_is_repeated(
    kind: Kind, start_server: ServerStarter, how: str
) -> None:
    first, second = start_server(close_without_answer), start_server()
    extensions = {"lbtransport": {"idempotent": True}} if how == "extension" else {}

    async with kind.connect(orders_at(first.url, second.url)) as client:
        with options(idempotent=True if how == "option" else None):
            response = await done(client.post(URL, extensions=extensions))

    assert response.status_code == 200


async def test_get_that_is_declared_not_idempotent_is_not_repeated(
    kind: Kind, start_server: ServerStarter
) -> None:
    first, second = start_server(close_without_answer), start_server()
    extensions = {"lbtransport": {"idempotent": False}}

    async with kind.connect(orders_at(first.url, second.url)) as client:
        with (
            options(idempotent=True),  # the extension wins
            pytest.raises(kind.hx.RemoteProtocolError),
        ):
            await done(client.get(URL, extensions=extensions))

    assert second.requests == []


@pytest.mark.parametrize("how", ["option", "extension"])
async def test_retries_can_be_switched_off_for_one_request(
    kind: Kind, start_server: ServerStarter, how: str
) -> None:
    first, second = start_server(reply(503)), start_server()
    extensions = {"lbtransport": {"retry": False}} if how == "extension" else {}

    async with kind.connect(orders_at(first.url, second.url)) as client:
        with options(retry=False if how == "option" else None):
            response = await done(client.get(URL, extensions=extensions))

    assert response.status_code == 503


@pytest.mark.parametrize(
    ("extension", "words"),
    [
        ({"timeout": 5}, "key, deadline, idempotent, retry"),
        ({"deadline": -1}, "deadline"),
        ("fast", "give a mapping"),
    ],
)
async def test_wrong_extension_is_an_error_of_both_and_leaves_nothing(
    kind: Kind, server: LoopbackServer, extension: Any, words: str
) -> None:
    orders = orders_at(server.url)

    async with kind.connect(orders) as client:
        request = client.build_request(
            "GET", URL, extensions={"lbtransport": extension}
        )
        with pytest.raises(lbtransport.ConfigurationError, match=words) as caught:
            await done(client.send(request))

    assert isinstance(caught.value, kind.hx.ConnectError)
    assert caught.value.request is request
    assert server.connections == 0
    assert outcomes_of(orders) == (0, 0, 0)


async def test_extension_is_not_passed_on(kind: Kind) -> None:
    seen: list[Any] = []

    def answer(request: Any) -> Any:
        seen.append(request.extensions)
        return kind.hx.Response(200)

    factory = answering(kind, answer)
    async with kind.connect(orders_at(BACKEND), transport_factory=factory) as client:
        extensions = {"lbtransport": {"key": "a"}, "mine": 1}
        await done(client.get(URL, extensions=extensions))

    assert "lbtransport" not in seen[0]
    assert seen[0]["mine"] == 1


async def test_options_apply_in_the_block_alone(
    kind: Kind, start_server: ServerStarter
) -> None:
    first, second = start_server(reply(503)), start_server()

    async with kind.connect(orders_at(first.url, second.url)) as client:
        with options(retry=False):
            inside = await done(client.get(URL))
        outside = await done(client.get(URL))

    assert (inside.status_code, outside.status_code) == (503, 200)


async def test_trace_of_the_caller_sees_each_attempt(
    kind: Kind, start_server: ServerStarter
) -> None:
    first, second = start_server(reply(503)), start_server()
    connected: list[int] = []

    def note(name: str, info: Any) -> None:
        if name == "connection.connect_tcp.started":
            connected.append(info["port"])

    async def note_async(name: str, info: Any) -> None:
        note(name, info)

    trace = {"trace": note_async if kind.is_async else note}
    async with kind.connect(orders_at(first.url, second.url)) as client:
        await done(client.get(URL, extensions=trace))

    assert connected == [first.port, second.port]


async def test_own_name_for_tls_wins(kind: Kind) -> None:
    seen: list[str] = []

    def answer(request: Any) -> Any:
        seen.append(request.extensions["sni_hostname"])
        return kind.hx.Response(200)

    factory = answering(kind, answer)
    orders = orders_at("https://10.0.0.1")
    async with kind.connect(orders, transport_factory=factory) as client:
        await done(client.get("https://orders/"))
        mine = {"sni_hostname": "mine.example"}
        await done(client.get("https://orders/", extensions=mine))

    assert seen == ["orders", "mine.example"]


async def test_retries_by_a_tenacity_object_run_under_each_loop(
    kind: Kind, start_server: ServerStarter
) -> None:
    import tenacity

    def busy(_: Any) -> Reply:
        return Reply(503, (), b"busy")

    server = start_server(busy)
    made = tenacity.AsyncRetrying if kind.is_async else tenacity.Retrying
    retrying = made(
        stop=tenacity.stop_after_attempt(4),
        wait=tenacity.wait_none(),
        retry=tenacity.retry_if_result(lambda response: response.status_code == 503),
    )
    orders = orders_at(server.url, retry=retrying)

    async with kind.connect(orders) as client:
        response = await done(client.get(URL))

    assert (response.status_code, response.text) == (503, "busy")
    assert len(server.requests) == 4
    assert in_flight(orders) == 0
