"""HTTP/2 with servers that refuse a stream, cut it, or go away in the middle.

What was certainly not processed goes to another backend whatever its method.
`tests/types/test_http2_errors.py` has the same without a network.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import anyio
import pytest
from h2.errors import ErrorCodes

from tests.httpx_family.kinds import (
    ASYNC_KINDS,
    Kind,
    done,
    leaves_generators,
    orders_at,
    outcomes_of,
)
from tests.servers.http2 import Http2Server, OnStream, Stream

URL = "http://orders/items"
asynchronous = pytest.mark.parametrize("kind", ASYNC_KINDS, indirect=True, ids=str)

StartHttp2 = Callable[[OnStream], Http2Server]


@pytest.fixture
def start_http2() -> Iterator[StartHttp2]:
    """Start servers of which a test decides every frame."""
    with contextlib.ExitStack() as servers:
        yield lambda on_stream: servers.enter_context(Http2Server(on_stream))


def connect(kind: Kind, service: Any) -> Any:
    """Give a client that speaks HTTP/2 from the first byte."""
    return kind.connect(service, http1=False, http2=True)


def answer(stream: Stream) -> None:
    stream.answer(b"done")


def reset(code: ErrorCodes) -> OnStream:
    return lambda stream: stream.reset(code)


def go_away(last: int, code: ErrorCodes = ErrorCodes.NO_ERROR) -> OnStream:
    return lambda stream: stream.go_away(last, code)


NEVER_PROCESSED = [
    pytest.param(reset(ErrorCodes.REFUSED_STREAM), id="refused"),
    pytest.param(go_away(0), id="goaway"),
    pytest.param(go_away(0, ErrorCodes.ENHANCE_YOUR_CALM), id="goaway-error"),
]


def promise_too_much(stream: Stream) -> None:
    stream.answer(b"four", headers=[("content-length", "10")])


MAYBE_PROCESSED = [
    pytest.param(reset(ErrorCodes.INTERNAL_ERROR), 1, id="reset"),
    pytest.param(reset(ErrorCodes.CANCEL), 1, id="cancelled"),
    pytest.param(go_away(1), 0, id="goaway"),
    pytest.param(go_away(2**31 - 1), 0, id="goaway-announced"),
    pytest.param(go_away(1, ErrorCodes.INTERNAL_ERROR), 1, id="goaway-error"),
    pytest.param(promise_too_much, 1, id="malformed"),
]


@pytest.mark.parametrize("say", NEVER_PROCESSED)
async def test_post_that_was_certainly_not_processed_goes_elsewhere_once(
    kind: Kind, start_http2: StartHttp2, say: OnStream
) -> None:
    first, second = start_http2(say), start_http2(answer)
    orders = orders_at(first.url, second.url)

    async with connect(kind, orders) as client:
        response = await done(client.post(URL, content=b"body"))

    assert response.text == "done"
    assert [one.body for one in first.requests + second.requests] == [b"body"] * 2
    assert outcomes_of(orders) == (2, 1, 0)


@pytest.mark.parametrize(("say", "failures"), MAYBE_PROCESSED)
async def test_post_that_may_have_been_processed_is_not_repeated(
    kind: Kind,
    start_http2: StartHttp2,
    say: OnStream,
    failures: int,
) -> None:
    first, second = start_http2(say), start_http2(answer)
    orders = orders_at(first.url, second.url)

    async with connect(kind, orders) as client:
        with pytest.raises(kind.hx.ProtocolError):
            await done(client.post(URL, content=b"body"))

    assert (len(first.requests), len(second.requests)) == (1, 0)
    assert outcomes_of(orders) == (1, failures, 0)


@pytest.mark.parametrize(("say", "failures"), MAYBE_PROCESSED)
async def test_get_that_may_have_been_processed_is_repeated_elsewhere(
    kind: Kind,
    start_http2: StartHttp2,
    say: OnStream,
    failures: int,
) -> None:
    first, second = start_http2(say), start_http2(answer)
    orders = orders_at(first.url, second.url)

    async with connect(kind, orders) as client:
        response = await done(client.get(URL))

    assert response.text == "done"
    assert outcomes_of(orders) == (2, failures, 0)


async def test_headers_that_http2_forbids_are_the_callers_own_error(
    kind: Kind, start_http2: StartHttp2
) -> None:
    orders = orders_at(start_http2(answer).url, start_http2(answer).url)

    async with connect(kind, orders) as client:
        with pytest.raises(kind.hx.LocalProtocolError):
            await done(client.get(URL, headers={"TE": "gzip"}))

    assert outcomes_of(orders) == (1, 0, 0)


async def test_refused_body_that_can_be_sent_once_is_not_repeated(
    kind: Kind, start_http2: StartHttp2
) -> None:
    first = start_http2(reset(ErrorCodes.REFUSED_STREAM))
    second = start_http2(answer)

    async with connect(kind, orders_at(first.url, second.url)) as client:
        with pytest.raises(kind.hx.RemoteProtocolError):
            await done(client.post(URL, content=kind.body_of(b"bo", b"dy")))

    assert (len(first.requests), len(second.requests)) == (1, 0)


async def test_refused_by_all_raises_the_clients_own_error(
    kind: Kind, start_http2: StartHttp2
) -> None:
    say = reset(ErrorCodes.REFUSED_STREAM)
    first, second = start_http2(say), start_http2(say)
    orders = orders_at(first.url, second.url)

    async with connect(kind, orders) as client:
        with pytest.raises(kind.hx.RemoteProtocolError) as raised:
            await done(client.post(URL))

    assert str(raised.value.request.url) == URL
    assert outcomes_of(orders) == (3, 3, 0)


@asynchronous
async def test_stream_above_the_last_one_of_a_goaway_is_processed_once(
    kind: Kind, start_http2: StartHttp2
) -> None:
    # httpcore sends it once more, on a new connection to the same backend; there it
    # is refused again, so it comes to us, and goes to another backend.
    held: list[Stream] = []

    def part_from_the_second(stream: Stream) -> None:
        if stream.request.connection > 1:
            stream.go_away(0)
        elif stream.request.target == "/first":
            stream.answer(b"first")
        else:
            held.append(stream)
            if len(held) == 2:
                held[0].answer(b"held")
                held[1].go_away(held[0].number)

    first, second = start_http2(part_from_the_second), start_http2(answer)
    orders = orders_at(first.url, second.url)
    texts: list[str] = []

    async with connect(kind, orders) as client:
        await client.get("http://orders/first")

        async def post() -> None:
            texts.append((await client.post(URL, content=b"body")).text)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(post)
            tasks.start_soon(post)

    assert sorted(texts) == ["done", "held"]
    assert (first.connections, len(second.requests)) == (2, 1)


@asynchronous
async def test_server_that_goes_away_in_good_order_is_not_ejected(
    kind: Kind, start_http2: StartHttp2
) -> None:
    # As many end their connections every thousand requests.  What is on the way then
    # is lost to httpcore, though the server would still answer it.
    def part_from_the_sixth(stream: Stream) -> None:
        if stream.request.target == "/first":
            stream.answer()
        elif len(first.requests) == 7:
            stream.go_away(stream.number)

    first, second = start_http2(part_from_the_sixth), start_http2(answer)
    orders = orders_at(first.url, second.url)
    texts: list[str] = []

    async with connect(kind, orders) as client:
        await client.get("http://orders/first")

        async def ask() -> None:
            texts.append((await client.get(URL)).text)

        async with anyio.create_task_group() as tasks:
            for _ in range(6):
                tasks.start_soon(ask)

    assert texts == ["done"] * 6
    assert [one.healthy for one in orders.stats().backends] == [True, True]
    assert outcomes_of(orders) == (13, 0, 0)


@leaves_generators
@pytest.mark.parametrize(
    ("say", "failures"),
    [
        pytest.param(reset(ErrorCodes.INTERNAL_ERROR), 1, id="reset"),
        pytest.param(go_away(1), 0, id="goaway"),
        pytest.param(go_away(1, ErrorCodes.INTERNAL_ERROR), 1, id="goaway-error"),
    ],
)
async def test_body_that_is_cut_is_never_repeated(
    kind: Kind,
    start_http2: StartHttp2,
    say: OnStream,
    failures: int,
) -> None:
    def begin_and_stop(stream: Stream) -> None:
        stream.answer(b"half", is_whole=False)
        say(stream)

    first, second = start_http2(begin_and_stop), start_http2(answer)
    orders = orders_at(first.url, second.url)

    async with connect(kind, orders) as client:
        with pytest.raises(kind.hx.RemoteProtocolError):
            await done(client.get(URL))

    assert (len(first.requests), len(second.requests)) == (1, 0)
    assert outcomes_of(orders) == (1, failures, 0)


async def test_closing_one_stream_leaves_the_connection_to_the_others(
    kind: Kind, start_http2: StartHttp2
) -> None:
    def begin(stream: Stream) -> None:
        is_whole = stream.request.target != "/endless"
        stream.answer(b"one", is_whole=is_whole)

    server = start_http2(begin)
    orders = orders_at(server.url)

    async with connect(kind, orders) as client:
        endless = await kind.open(client, "http://orders/endless")
        await kind.close(endless)
        response = await done(client.get(URL))

    assert response.text == "one"
    assert server.connections == 1
    assert outcomes_of(orders) == (2, 0, 0)
