"""What is sent again, where to, and what the caller gets in the end."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from lbtransport import Backend, RetryPolicy
from lbtransport._clock import ManualClock
from tests.conftest import ServerStarter
from tests.httpx_family.kinds import (
    Kind,
    done,
    in_flight,
    orders_at,
    outcomes_of,
)
from tests.servers import (
    LATER,
    Fate,
    LoopbackServer,
    Reply,
    close_without_answer,
    garbage,
    hang,
    in_turn,
    reply,
    reset,
    truncated_headers,
)

URL = "http://orders/items"


async def test_post_whose_connection_died_after_it_was_sent_is_not_repeated(
    kind: Kind, start_server: ServerStarter
) -> None:
    first, second = start_server(close_without_answer), start_server()
    orders = orders_at(first.url, second.url)

    async with kind.connect(orders) as client:
        with pytest.raises(kind.hx.RemoteProtocolError):
            await done(client.post(URL, json={"item": 1}))

    assert (len(first.requests), len(second.requests)) == (1, 0)


@pytest.mark.parametrize("fail", [close_without_answer, reset, garbage])
async def test_get_whose_connection_died_is_repeated_elsewhere(
    kind: Kind, start_server: ServerStarter, fail: Any
) -> None:
    first, second = start_server(fail), start_server(reply(body=b"second"))
    orders = orders_at(first.url, second.url)

    async with kind.connect(orders) as client:
        response = await done(client.get(URL))

    assert response.text == "second"
    assert len(first.requests) == 1


async def test_truncated_headers_are_no_answer(
    kind: Kind, start_server: ServerStarter
) -> None:
    first = start_server(truncated_headers)
    second = start_server(reply(body=b"second"))

    async with kind.connect(orders_at(first.url, second.url)) as client:
        response = await done(client.get(URL))

    assert response.text == "second"


async def test_post_that_was_never_connected_goes_to_another_backend(
    kind: Kind, refused_url: str, server: LoopbackServer
) -> None:
    orders = orders_at(refused_url, server.url)

    async with kind.connect(orders) as client:
        await done(client.post(URL, content=b"whole"))

    assert [request.body for request in server.requests] == [b"whole"]


@pytest.mark.parametrize("status", [502, 503, 504])
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"])
async def test_gateway_errors_are_repeated_for_idempotent_methods(
    kind: Kind, start_server: ServerStarter, status: int, method: str
) -> None:
    first, second = start_server(reply(status)), start_server()

    async with kind.connect(orders_at(first.url, second.url)) as client:
        response = await done(client.request(method, URL))

    assert response.status_code == 200
    assert (len(first.requests), len(second.requests)) == (1, 1)


async def test_query_is_idempotent(kind: Kind, start_server: ServerStarter) -> None:
    first, second = start_server(reply(503)), start_server()

    async with kind.connect(orders_at(first.url, second.url)) as client:
        await done(client.request("QUERY", URL, content=b"all"))

    assert [request.body for request in second.requests] == [b"all"]


@pytest.mark.parametrize("method", ["POST", "PATCH"])
async def test_503_to_a_post_is_the_answer(
    kind: Kind, start_server: ServerStarter, method: str
) -> None:
    first, second = start_server(reply(503, b"busy")), start_server()

    async with kind.connect(orders_at(first.url, second.url)) as client:
        response = await done(client.request(method, URL, content=b"x"))

    assert (response.status_code, response.text) == (503, "busy")
    assert second.requests == []


async def test_post_with_an_idempotency_key_is_repeated(
    kind: Kind, start_server: ServerStarter
) -> None:
    first, second = start_server(close_without_answer), start_server()
    headers = {"Idempotency-Key": "17"}

    async with kind.connect(orders_at(first.url, second.url)) as client:
        await done(client.post(URL, content=b"x", headers=headers))

    assert [request.body for request in second.requests] == [b"x"]


@pytest.mark.parametrize("status", [429, 503])
async def test_post_goes_elsewhere_when_the_server_says_retry_after(
    kind: Kind, start_server: ServerStarter, status: int
) -> None:
    first = start_server(reply(status, headers=[("Retry-After", "30")]))
    second = start_server()

    async with kind.connect(orders_at(first.url, second.url)) as client:
        response = await done(client.post(URL, content=b"x"))

    assert response.status_code == 200
    assert [request.body for request in second.requests] == [b"x"]


@pytest.mark.parametrize("how", LATER)
async def test_backend_that_says_when_it_is_back_is_left_alone_until_then(
    kind: Kind, start_server: ServerStarter, how: str
) -> None:
    first, second = start_server(reply(429, headers=LATER[how])), start_server()
    orders = orders_at(first.url, second.url, clock=ManualClock())

    async with kind.connect(orders) as client:
        for _ in range(3):
            assert (await done(client.get(URL))).status_code == 200

    assert (len(first.requests), len(second.requests)) == (1, 3)
    throttled, _ = orders.stats().backends
    assert (throttled.state, throttled.failures) == ("throttled", 0)
    assert throttled.returns_in == pytest.approx(20.0)


@pytest.mark.parametrize("status", [400, 404, 500, 501, 505])
async def test_other_errors_are_the_answer(
    kind: Kind, start_server: ServerStarter, status: int
) -> None:
    first, second = start_server(reply(status)), start_server()

    async with kind.connect(orders_at(first.url, second.url)) as client:
        response = await done(client.get(URL))

    assert response.status_code == status
    assert second.requests == []


async def test_exhausted_retries_give_the_last_response_open(
    kind: Kind, start_server: ServerStarter
) -> None:
    servers = [start_server(reply(503, [b"busy ", b"%d" % n])) for n in range(3)]
    orders = orders_at(*[server.url for server in servers])

    async with kind.connect(orders) as client:
        response = await kind.open(client, URL)
        was_open = not response.is_closed
        body = await kind.read(response)

    assert was_open
    assert (response.status_code, body) == (503, b"busy 2")


async def test_exhausted_retries_raise_the_last_error_with_the_callers_request(
    kind: Kind, start_server: ServerStarter
) -> None:
    servers = [start_server(fail) for fail in (reset, reset, close_without_answer)]
    orders = orders_at(*[server.url for server in servers])

    async with kind.connect(orders) as client:
        request = client.build_request("GET", URL)
        with pytest.raises(kind.hx.RemoteProtocolError) as caught:
            await done(client.send(request))

    assert caught.value.request is request
    assert outcomes_of(orders) == (3, 3, 0)


async def test_all_refused_raises_the_clients_own_connect_error(
    kind: Kind, refused_url: str
) -> None:
    orders = orders_at(refused_url, retry=RetryPolicy(min_wait=0, max_wait=0))

    async with kind.connect(orders) as client:
        with pytest.raises(kind.hx.ConnectError) as caught:
            await done(client.get(URL))

    assert type(caught.value) is kind.hx.ConnectError
    assert str(caught.value.request.url) == URL


async def test_service_without_backends_raises_an_error_of_both(kind: Kind) -> None:
    async with kind.connect(orders_at()) as client:
        request = client.build_request("GET", URL)
        with pytest.raises(kind.ours.NoBackendsAvailable, match="orders") as caught:
            await done(client.send(request))

    assert isinstance(caught.value, kind.hx.ConnectError)
    assert caught.value.request is request


async def test_discarded_responses_do_not_keep_connections(
    kind: Kind, start_server: ServerStarter
) -> None:
    first, second = start_server(reply(503, b"x" * 100_000)), start_server()
    limits = kind.hx.Limits(max_connections=1)
    # Without health the first one would be ejected, and not be asked any more.
    retry = RetryPolicy(budget_ratio=None)
    orders = orders_at(first.url, second.url, retry=retry)

    async with kind.connect(
        orders, limits=limits, client={"timeout": kind.hx.Timeout(5, pool=0.1)}
    ) as client:
        for _ in range(50):
            orders.mark_healthy(first.url, True)
            assert (await done(client.get(URL))).status_code == 200

    assert len(first.requests) == 50
    assert in_flight(orders) == 0


async def test_discarded_response_is_closed_before_the_next_attempt(kind: Kind) -> None:
    closed_when_sent = []
    responses: list[Any] = []

    def answer(request: Any) -> Any:
        closed_when_sent.append([response.is_closed for response in responses])
        status = 503 if len(responses) < 2 else 200
        responses.append(kind.hx.Response(status, content=kind.body_of(b"x")))
        return responses[-1]

    orders = orders_at(*[f"http://10.0.0.{number}" for number in range(3)])
    factory = kind.hx.MockTransport(answer)

    async with kind.connect(orders, transport_factory=lambda _: factory) as client:
        await done(client.get(URL))

    assert closed_when_sent == [[], [True], [True, True]]


async def test_response_timeout_of_a_get_is_repeated_elsewhere(
    kind: Kind, start_server: ServerStarter
) -> None:
    first, second = start_server(hang), start_server(reply(body=b"second"))

    async with kind.connect(orders_at(first.url, second.url)) as client:
        response = await done(client.get(URL, timeout=kind.hx.Timeout(5, read=0.05)))

    assert response.text == "second"


async def test_response_timeouts_are_repeated_once_at_most(
    kind: Kind, start_server: ServerStarter
) -> None:
    servers = [start_server(hang) for _ in range(3)]
    orders = orders_at(*[server.url for server in servers])

    async with kind.connect(orders) as client:
        with pytest.raises(kind.hx.ReadTimeout):
            await done(client.get(URL, timeout=kind.hx.Timeout(5, read=0.05)))

    assert [len(server.requests) for server in servers] == [1, 1, 0]


async def test_response_timeout_of_a_post_is_not_repeated(
    kind: Kind, start_server: ServerStarter
) -> None:
    first, second = start_server(hang), start_server()

    async with kind.connect(orders_at(first.url, second.url)) as client:
        with pytest.raises(kind.hx.ReadTimeout):
            await done(client.post(URL, timeout=kind.hx.Timeout(5, read=0.05)))

    assert second.requests == []


async def test_exhausted_pool_of_one_backend_is_no_fault_and_goes_elsewhere(
    kind: Kind, start_server: ServerStarter
) -> None:
    first, second = start_server(), start_server(reply(body=b"second"))
    orders = orders_at(first.url, second.url)
    limits = kind.hx.Limits(max_connections=1)
    timeout = kind.hx.Timeout(5, pool=0.01)

    async with (
        kind.connect(orders, limits=limits) as client,
        kind.stream(client, "GET", URL),
    ):
        response = await done(client.post(URL, timeout=timeout))

    assert response.text == "second"
    assert outcomes_of(orders) == (3, 0, 0)


async def test_server_that_fails_in_turn_is_asked_again_when_it_is_alone(
    kind: Kind, start_server: ServerStarter
) -> None:
    server = start_server(in_turn(reply(503), reset, reply(body=b"third")))

    async with kind.connect(orders_at(server.url)) as client:
        response = await done(client.get(URL))

    assert response.text == "third"


async def test_never_accepted_tls_is_a_refusal_even_for_a_post(
    kind: Kind, start_server: ServerStarter
) -> None:
    # It speaks no TLS at all: the handshake fails before a byte of the request.
    first = start_server(on_accept=lambda _: Fate.CLOSE)
    second = start_server(reply(body=b"second"))
    orders = orders_at(Backend(first.url.replace("http", "https")), second.url)

    async with kind.connect(orders) as client:
        response = await done(client.post(URL))

    assert response.text == "second"


async def test_retry_after_of_all_backends_gives_the_last_answer(
    kind: Kind, start_server: ServerStarter
) -> None:
    def busy(request: Any) -> Reply:
        return Reply(503, [("Retry-After", "0")], b"busy")

    servers = [start_server(busy) for _ in range(3)]

    async with kind.connect(orders_at(*[server.url for server in servers])) as client:
        response = await done(client.post(URL, content=b"x"))

    assert response.text == "busy"
    assert [len(server.requests) for server in servers] == [1, 1, 1]


async def test_body_that_raises_blames_no_backend(
    kind: Kind, server: LoopbackServer
) -> None:
    service = orders_at(server.url)

    def fail_sync() -> Iterator[bytes]:
        yield b"part"
        raise OSError("the disk is gone")

    async def fail_async() -> AsyncIterator[bytes]:
        yield b"part"
        raise OSError("the disk is gone")

    async with kind.connect(service) as client:
        body = fail_async() if kind.is_async else fail_sync()
        with pytest.raises(OSError, match="the disk is gone"):
            await done(client.put(URL, content=body))

    assert [backend.failures for backend in service.stats().backends] == [0]
