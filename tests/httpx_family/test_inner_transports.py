"""Backends that are reached by transports of the user's own."""

from __future__ import annotations

import gc
from typing import Any

import pytest

from lbtransport import Backend
from tests.conftest import ServerStarter
from tests.httpx_family.kinds import (
    ASYNC_KINDS,
    SYNC_KINDS,
    Kind,
    answering,
    done,
    orders_at,
    outcomes_of,
)

URL = "http://orders/items"


@pytest.mark.parametrize("kind", SYNC_KINDS, indirect=True, ids=str)
async def test_wsgi_application_is_a_backend(kind: Kind) -> None:
    def application(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [environ["HTTP_HOST"].encode(), environ["PATH_INFO"].encode()]

    orders = orders_at("http://10.0.0.1")
    factory = lambda _: kind.hx.WSGITransport(application)  # noqa: E731

    async with kind.connect(orders, transport_factory=factory) as client:
        response = await done(client.get(URL))

    assert response.text == "orders/items"
    assert outcomes_of(orders) == (1, 0, 0)


@pytest.mark.parametrize("kind", ASYNC_KINDS, indirect=True, ids=str)
async def test_asgi_application_is_a_backend(kind: Kind) -> None:
    async def application(scope: Any, receive: Any, send: Any) -> None:
        while (await receive())["more_body"]:
            pass
        body = dict(scope["headers"])[b"host"] + scope["path"].encode()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})

    orders = orders_at("http://10.0.0.1")
    factory = lambda _: kind.hx.ASGITransport(application)  # noqa: E731

    async with kind.connect(orders, transport_factory=factory) as client:
        response = await done(client.get(URL))

    assert response.text == "orders/items"
    assert outcomes_of(orders) == (1, 0, 0)


async def test_factory_is_called_once_for_each_backend(kind: Kind) -> None:
    made: list[Backend] = []

    def factory(backend: Backend) -> Any:
        made.append(backend)
        return answering(kind, lambda _: kind.hx.Response(200))(backend)

    orders = orders_at("http://10.0.0.1", "http://10.0.0.2", strategy="round_robin")
    async with kind.connect(orders, transport_factory=factory) as client:
        for _ in range(6):
            await done(client.get(URL))

    assert sorted(backend.url for backend in made) == [
        "http://10.0.0.1",
        "http://10.0.0.2",
    ]


async def test_factory_that_fails_raises_its_error_and_blames_nobody(
    kind: Kind,
) -> None:
    def factory(_: Backend) -> Any:
        raise LookupError("no such transport")

    orders = orders_at("http://10.0.0.1")
    async with kind.connect(orders, transport_factory=factory) as client:
        with pytest.raises(LookupError, match="no such"):
            await done(client.get(URL))

    assert outcomes_of(orders) == (1, 0, 0)


async def test_factory_may_change_the_service(kind: Kind) -> None:
    # It is called under no lock.
    orders = orders_at("http://10.0.0.1", "http://10.0.0.2")

    def factory(backend: Backend) -> Any:
        orders.remove_backend("http://10.0.0.2")
        return answering(kind, lambda _: kind.hx.Response(200))(backend)

    async with kind.connect(orders, transport_factory=factory) as client:
        await done(client.get(URL))

    assert [backend.url for backend in orders.backends] == ["http://10.0.0.1"]


class Closable:
    """An inner transport that tells when it was closed."""

    def __init__(self, kind: Kind) -> None:
        self._kind = kind
        self.closed = 0

    def handle_request(self, request: Any) -> Any:
        return self._kind.hx.Response(200)

    async def handle_async_request(self, request: Any) -> Any:
        return self._kind.hx.Response(200)

    def close(self) -> None:
        self.closed += 1

    async def aclose(self) -> None:
        self.closed += 1


async def test_backend_that_is_removed_while_it_is_called_is_forgotten(
    kind: Kind,
) -> None:
    # Selected, then removed, and only then its transport is made.
    made: list[Closable] = []
    orders = orders_at("http://10.0.0.1", "http://10.0.0.2")

    def factory(backend: Backend) -> Any:
        if backend.url == "http://10.0.0.1":
            orders.remove_backend(backend)
        made.append(Closable(kind))
        return made[-1]

    async with kind.connect(orders, transport_factory=factory) as client:
        await done(client.get(URL))
        await done(client.get(URL))
        closed = [transport.closed for transport in made]

    assert closed == [1, 0]


async def test_pass_through_and_inner_transports_are_closed_once(kind: Kind) -> None:
    inner, passthrough = Closable(kind), Closable(kind)

    async with kind.connect(
        orders_at("http://10.0.0.1"),
        transport_factory=lambda _: inner,
        passthrough=passthrough,
    ) as client:
        await done(client.get(URL))
        await done(client.get("http://elsewhere/"))

    assert (inner.closed, passthrough.closed) == (1, 1)


async def test_stream_that_is_an_iterator_of_its_own_is_read_to_its_end(
    kind: Kind,
) -> None:
    chunks = iter([b"one", b"two"])

    class Stream(kind.hx.SyncByteStream, kind.hx.AsyncByteStream):  # type: ignore[name-defined, misc]  # bases chosen at run time
        def __iter__(self) -> Any:
            return chunks

        def __aiter__(self) -> Any:
            return self

        async def __anext__(self) -> bytes:
            for chunk in chunks:
                return chunk
            raise StopAsyncIteration

    orders = orders_at("http://10.0.0.1")
    factory = answering(kind, lambda _: kind.hx.Response(200, stream=Stream()))
    async with kind.connect(orders, transport_factory=factory) as client:
        response = await done(client.get(URL))

    assert response.content == b"onetwo"
    assert outcomes_of(orders) == (1, 0, 0)


@pytest.mark.parametrize("kind", ASYNC_KINDS, indirect=True, ids=str)
async def test_generator_of_a_body_is_closed_with_ours(kind: Kind) -> None:
    # Otherwise it would be left to the collector, of which trio complains.
    closed: list[bool] = []

    async def body() -> Any:
        try:
            yield b"one"
            yield b"two"
        finally:
            closed.append(True)

    class Stream(kind.hx.AsyncByteStream):  # type: ignore[name-defined, misc]  # a base chosen at run time
        def __aiter__(self) -> Any:
            return body()

    factory = answering(kind, lambda _: kind.hx.Response(200, stream=Stream()))
    transport = kind.transport(orders_at("http://10.0.0.1"), transport_factory=factory)
    response = await transport.handle_async_request(kind.hx.Request("GET", URL))
    chunks = aiter(response.stream)
    first = await anext(chunks)

    await chunks.aclose()

    assert (first, closed) == (b"one", [True])
    await response.aclose()


async def test_body_whose_application_fails_blames_nobody(kind: Kind) -> None:
    def fail() -> Any:
        yield b"one"
        raise LookupError("a bug of the application")

    async def fail_async() -> Any:
        yield b"one"
        raise LookupError("a bug of the application")

    def answer(_: Any) -> Any:
        return kind.hx.Response(200, content=fail_async() if kind.is_async else fail())

    orders = orders_at("http://10.0.0.1")
    factory = answering(kind, answer)
    async with kind.connect(orders, transport_factory=factory) as client:
        with pytest.raises(LookupError, match="a bug"):
            await done(client.get(URL))

    assert outcomes_of(orders) == (1, 0, 0)


async def test_dropped_response_that_cannot_be_closed_harms_no_later_request(
    kind: Kind,
) -> None:
    class Stream(kind.hx.SyncByteStream, kind.hx.AsyncByteStream):  # type: ignore[name-defined, misc]  # bases chosen at run time
        def close(self) -> None:
            raise RuntimeError("the loop is gone")

        async def aclose(self) -> None:
            raise RuntimeError("the loop is gone")

    orders = orders_at("http://10.0.0.1")
    streams = [Stream(), None]
    factory = answering(kind, lambda _: kind.hx.Response(200, stream=streams.pop(0)))
    async with kind.connect(orders, transport_factory=factory) as client:
        response = await kind.open(client, URL)
        del response
        gc.collect()
        response = await done(client.get(URL))

    assert response.status_code == 200
    assert outcomes_of(orders) == (2, 0, 0)


async def test_limits_are_the_clients_own_but_for_idle_connections(
    kind: Kind, start_server: ServerStarter, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[Any] = []
    name = "AsyncHTTPTransport" if kind.is_async else "HTTPTransport"
    make = getattr(kind.hx, name)

    def note(**options: Any) -> Any:
        given.append(options["limits"])
        return make(**options)

    monkeypatch.setattr(kind.hx, name, note)
    async with kind.connect(orders_at(start_server().url)) as client:
        await done(client.get(URL))

    assert given == [
        kind.hx.Limits(
            max_connections=100, max_keepalive_connections=20, keepalive_expiry=60
        )
    ]


async def test_one_balancer_may_stand_behind_another(
    kind: Kind, start_server: ServerStarter
) -> None:
    server = start_server()
    inner = kind.transport([orders_at(server.url, name="region")])
    orders = orders_at("http://nowhere", "http://region")
    nowhere = kind.transport([orders_at(name="nowhere")])

    def factory(backend: Backend) -> Any:
        return inner if backend.hostname == "region" else nowhere

    async with kind.connect(orders, transport_factory=factory) as client:
        response = await done(client.post(URL))

    assert response.status_code == 200
