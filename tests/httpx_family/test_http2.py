"""HTTP/2: many requests on one connection, and what a server says to end them.

hypercorn is the good server, `Http2Server` the one that refuses and goes away.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import anyio
import pytest
from h2.errors import ErrorCodes

from lbtransport import Backend
from tests.certificates import Authority
from tests.httpx_family.kinds import (
    ASYNC_KINDS,
    Kind,
    done,
    in_flight,
    leaves_generators,
    orders_at,
    outcomes_of,
)
from tests.servers.asgi import AsgiServer
from tests.servers.http2 import Http2Server, OnStream, Stream

URL = "http://orders/items"
asynchronous = pytest.mark.parametrize("kind", ASYNC_KINDS, indirect=True, ids=str)

StartHttp2 = Callable[[OnStream], Http2Server]


@pytest.fixture
def start_http2() -> Iterator[StartHttp2]:
    """Start servers of which a test decides every frame."""
    with contextlib.ExitStack() as servers:
        yield lambda on_stream: servers.enter_context(Http2Server(on_stream))


@pytest.fixture(params=["tls", "cleartext"])
def serve(
    request: pytest.FixtureRequest, authority: Authority
) -> Iterator[Callable[[Any], AsgiServer]]:
    """Start a good server for an application, with TLS and without."""
    with contextlib.ExitStack() as servers:

        def start(application: Any) -> AsgiServer:
            context = None
            if request.param == "tls":
                context = authority.server_context("orders")
            server = AsgiServer(application, ssl_context=context)
            return servers.enter_context(server)

        yield start


def connect(kind: Kind, service: Any, authority: Authority) -> Any:
    """Give a client that speaks HTTP/2 alone."""
    context = authority.client_context()
    return kind.connect(service, http1=False, http2=True, verify=context)


async def told(scope: Any, receive: Any, send: Any) -> None:
    """Answer with the version, the authority and the body that were received."""
    body = b""
    while True:
        message = await receive()
        body += message["body"]
        if not message["more_body"]:
            break
    host = dict(scope["headers"])[b"host"]
    text = b"|".join([scope["http_version"].encode(), host, body])
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": text})


async def test_authority_is_the_logical_host(
    kind: Kind, serve: Callable[[Any], AsgiServer], authority: Authority
) -> None:
    orders = orders_at(serve(told).url)

    async with connect(kind, orders, authority) as client:
        response = await done(client.post(URL, content=b"body"))

    assert response.text == "2|orders|body"
    assert (response.http_version, response.reason_phrase) == ("HTTP/2", "OK")
    assert str(response.url) == URL
    assert outcomes_of(orders) == (1, 0, 0)


async def test_authority_can_be_the_backends_own(
    kind: Kind, serve: Callable[[Any], AsgiServer], authority: Authority
) -> None:
    server = serve(told)
    orders = orders_at(Backend(server.url, host="backend"))

    async with connect(kind, orders, authority) as client:
        response = await done(client.get(URL))

    assert response.text == f"2|{server.url.partition('//')[2]}|"


async def test_http2_is_negotiated_where_both_are_offered(
    kind: Kind, authority: Authority
) -> None:
    context = authority.server_context("orders")
    with AsgiServer(told, ssl_context=context) as server:
        orders = orders_at(server.url)
        verify = authority.client_context()
        async with kind.connect(orders, http2=True, verify=verify) as client:
            response = await done(client.get(URL))

    assert response.text == "2|orders|"


async def test_body_in_pieces_arrives_both_ways(
    kind: Kind, serve: Callable[[Any], AsgiServer], authority: Authority
) -> None:
    orders = orders_at(serve(told).url)
    content = kind.body_of(b"a" * 100_000, b"b")

    async with (
        connect(kind, orders, authority) as client,
        kind.stream(client, "POST", URL, content=content) as response,
    ):
        open_ones = in_flight(orders)
        body = b"".join(await kind.all(kind.chunks(response, "bytes")))

    assert body == b"2|orders|" + b"a" * 100_000 + b"b"
    assert (open_ones, *outcomes_of(orders)) == (1, 1, 0, 0)


@asynchronous
async def test_requests_share_a_connection(
    kind: Kind, serve: Callable[[Any], AsgiServer], authority: Authority
) -> None:
    # None of the five is answered before the last one is there.
    paths: list[str] = []
    clients: set[int] = set()
    everybody = asyncio.Event()  # of the server's loop

    async def application(scope: Any, receive: Any, send: Any) -> None:
        paths.append(scope["path"])
        clients.add(scope["client"][1])
        if len(paths) == 6:
            everybody.set()
        if scope["path"] != "/first":
            await everybody.wait()
        await told(scope, receive, send)

    orders = orders_at(serve(application).url)
    answers: list[int] = []

    async with connect(kind, orders, authority) as client:
        # A server says how many streams it allows when it is first asked.
        await client.get("http://orders/first")

        async def ask(number: int) -> None:
            answers.append((await client.get(f"{URL}/{number}")).status_code)

        async with anyio.create_task_group() as tasks:
            for number in range(5):
                tasks.start_soon(ask, number)

    assert (answers, len(clients)) == ([200] * 5, 1)
    assert outcomes_of(orders) == (6, 0, 0)


# What is said of a stream


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
    kind: Kind, start_http2: StartHttp2, authority: Authority, say: OnStream
) -> None:
    first, second = start_http2(say), start_http2(answer)
    orders = orders_at(first.url, second.url)

    async with connect(kind, orders, authority) as client:
        response = await done(client.post(URL, content=b"body"))

    assert response.text == "done"
    assert [one.body for one in first.requests + second.requests] == [b"body"] * 2
    assert outcomes_of(orders) == (2, 1, 0)


@pytest.mark.parametrize(("say", "failures"), MAYBE_PROCESSED)
async def test_post_that_may_have_been_processed_is_not_repeated(
    kind: Kind,
    start_http2: StartHttp2,
    authority: Authority,
    say: OnStream,
    failures: int,
) -> None:
    first, second = start_http2(say), start_http2(answer)
    orders = orders_at(first.url, second.url)

    async with connect(kind, orders, authority) as client:
        with pytest.raises(kind.hx.ProtocolError):
            await done(client.post(URL, content=b"body"))

    assert (len(first.requests), len(second.requests)) == (1, 0)
    assert outcomes_of(orders) == (1, failures, 0)


@pytest.mark.parametrize(("say", "failures"), MAYBE_PROCESSED)
async def test_get_that_may_have_been_processed_is_repeated_elsewhere(
    kind: Kind,
    start_http2: StartHttp2,
    authority: Authority,
    say: OnStream,
    failures: int,
) -> None:
    first, second = start_http2(say), start_http2(answer)
    orders = orders_at(first.url, second.url)

    async with connect(kind, orders, authority) as client:
        response = await done(client.get(URL))

    assert response.text == "done"
    assert outcomes_of(orders) == (2, failures, 0)


async def test_headers_that_http2_forbids_are_the_callers_own_error(
    kind: Kind, start_http2: StartHttp2, authority: Authority
) -> None:
    orders = orders_at(start_http2(answer).url, start_http2(answer).url)

    async with connect(kind, orders, authority) as client:
        with pytest.raises(kind.hx.LocalProtocolError):
            await done(client.get(URL, headers={"TE": "gzip"}))

    assert outcomes_of(orders) == (1, 0, 0)


async def test_refused_body_that_can_be_sent_once_is_not_repeated(
    kind: Kind, start_http2: StartHttp2, authority: Authority
) -> None:
    first = start_http2(reset(ErrorCodes.REFUSED_STREAM))
    second = start_http2(answer)

    async with connect(kind, orders_at(first.url, second.url), authority) as client:
        with pytest.raises(kind.hx.RemoteProtocolError):
            await done(client.post(URL, content=kind.body_of(b"bo", b"dy")))

    assert (len(first.requests), len(second.requests)) == (1, 0)


async def test_refused_by_all_raises_the_clients_own_error(
    kind: Kind, start_http2: StartHttp2, authority: Authority
) -> None:
    say = reset(ErrorCodes.REFUSED_STREAM)
    first, second = start_http2(say), start_http2(say)
    orders = orders_at(first.url, second.url)

    async with connect(kind, orders, authority) as client:
        with pytest.raises(kind.hx.RemoteProtocolError) as raised:
            await done(client.post(URL))

    assert str(raised.value.request.url) == URL
    assert outcomes_of(orders) == (3, 3, 0)


@asynchronous
async def test_stream_above_the_last_one_of_a_goaway_is_processed_once(
    kind: Kind, start_http2: StartHttp2, authority: Authority
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

    async with connect(kind, orders, authority) as client:
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
    kind: Kind, start_http2: StartHttp2, authority: Authority
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

    async with connect(kind, orders, authority) as client:
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
    authority: Authority,
    say: OnStream,
    failures: int,
) -> None:
    def begin_and_stop(stream: Stream) -> None:
        stream.answer(b"half", is_whole=False)
        say(stream)

    first, second = start_http2(begin_and_stop), start_http2(answer)
    orders = orders_at(first.url, second.url)

    async with connect(kind, orders, authority) as client:
        with pytest.raises(kind.hx.RemoteProtocolError):
            await done(client.get(URL))

    assert (len(first.requests), len(second.requests)) == (1, 0)
    assert outcomes_of(orders) == (1, failures, 0)


async def test_closing_one_stream_leaves_the_connection_to_the_others(
    kind: Kind, start_http2: StartHttp2, authority: Authority
) -> None:
    def begin(stream: Stream) -> None:
        is_whole = stream.request.target != "/endless"
        stream.answer(b"one", is_whole=is_whole)

    server = start_http2(begin)
    orders = orders_at(server.url)

    async with connect(kind, orders, authority) as client:
        endless = await kind.open(client, "http://orders/endless")
        await kind.close(endless)
        response = await done(client.get(URL))

    assert response.text == "one"
    assert server.connections == 1
    assert outcomes_of(orders) == (2, 0, 0)
