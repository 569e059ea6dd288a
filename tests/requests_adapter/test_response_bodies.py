"""However a response's body ends, its backend is given back, once."""

from __future__ import annotations

import gc
import io
import shutil
from collections.abc import Callable
from typing import Any

import pytest
import requests

from lbtransport import LoadBalancer, Selection, options
from tests.requests_adapter.kit import (
    CHUNKED,
    DONE,
    FRAMINGS,
    FULL,
    SIZED,
    Balanced,
    outcomes_of,
)
from tests.servers import (
    Handler,
    LoopbackServer,
    reply,
)

# Read to the end


def _copied(response: requests.Response) -> bytes:
    response.raw.decode_content = True
    copy = io.BytesIO()
    shutil.copyfileobj(response.raw, copy)
    return copy.getvalue()


def _by_read1(response: requests.Response) -> bytes:
    return b"".join(iter(lambda: response.raw.read1(4096), b""))


def _into_buffer(response: requests.Response) -> bytes:
    return io.BufferedReader(response.raw).read()


@FRAMINGS
@pytest.mark.parametrize(
    "read",
    [
        pytest.param(lambda response: response.content, id="content"),
        pytest.param(lambda response: b"".join(response.iter_content(999)), id="iter"),
        pytest.param(lambda response: b"".join(response.iter_lines()), id="lines"),
        pytest.param(lambda response: response.raw.read(), id="raw.read"),
        pytest.param(lambda response: response.raw.data, id="raw.data"),
        pytest.param(lambda response: b"".join(response.raw.stream()), id="raw.stream"),
        pytest.param(lambda response: b"".join(response.raw), id="raw iterated"),
        pytest.param(_by_read1, id="raw.read1"),
        pytest.param(_into_buffer, id="io.BufferedReader"),
        pytest.param(_copied, id="copyfileobj"),
    ],
)
@pytest.mark.parametrize("deadline", [None, 60.0])
def test_a_body_read_to_its_end_is_a_success(
    client: Balanced,
    server: LoopbackServer,
    service: LoadBalancer,
    *,
    handler: Handler,
    read: Callable[[requests.Response], bytes],
    deadline: float | None,
) -> None:
    server.handler = handler

    with options(deadline=deadline):
        response = client.get("http://orders/", stream=True)
    assert outcomes_of(service) == (1, 0, 1)
    body = read(response)

    assert body == FULL
    assert outcomes_of(service) == DONE


@FRAMINGS
def test_a_body_that_is_not_streamed_is_over_when_the_caller_gets_it(
    client: Balanced, server: LoopbackServer, service: LoadBalancer, handler: Handler
) -> None:
    server.handler = handler

    response = client.get("http://orders/")

    assert response.content == FULL
    assert outcomes_of(service) == DONE


def test_a_drained_body_is_over(
    client: Balanced, server: LoopbackServer, service: LoadBalancer
) -> None:
    server.handler = SIZED

    client.get("http://orders/", stream=True).raw.drain_conn()

    assert outcomes_of(service) == DONE
    client.get("http://orders/")
    assert server.connections == 1


@pytest.mark.parametrize(
    ("method", "handler"),
    [
        pytest.param("GET", reply(204), id="204"),
        pytest.param("GET", reply(304), id="304"),
        pytest.param("HEAD", SIZED, id="HEAD"),
        pytest.param("GET", reply(), id="Content-Length 0"),
    ],
)
def test_what_has_no_body_is_over_with_the_headers(
    client: Balanced,
    server: LoopbackServer,
    service: LoadBalancer,
    method: str,
    handler: Handler,
) -> None:
    server.handler = handler

    response = client.session.request(method, "http://orders/", stream=True)

    assert outcomes_of(service) == DONE
    response.close()


# Left before the end


def _close(response: requests.Response) -> None:
    response.close()


def _close_raw(response: requests.Response) -> None:
    response.raw.close()


def _leave_block(response: requests.Response) -> None:
    with response:
        response.raw.read(3)


def _break_off(response: requests.Response) -> None:
    for _ in response.iter_content(2):
        break
    response.close()


def _drop(response: requests.Response) -> None:
    next(response.iter_content(2))


def _drop_text(response: requests.Response) -> None:
    raw: Any = response.raw
    io.TextIOWrapper(raw).read(1)


def _drop_cycle(response: requests.Response) -> None:
    response.me = response  # type: ignore[attr-defined]  # as user code does
    del response
    gc.collect()


@FRAMINGS
@pytest.mark.parametrize(
    "leave",
    [
        _close,
        _close_raw,
        _leave_block,
        _break_off,
        _drop,
        _drop_text,
        # The collector may finalise the socket before the response that closes it.
        pytest.param(
            _drop_cycle,
            marks=pytest.mark.filterwarnings(
                "ignore::pytest.PytestUnraisableExceptionWarning"
            ),
        ),
    ],
)
def test_a_body_that_is_left_is_a_success_for_its_headers(
    client: Balanced,
    server: LoopbackServer,
    service: LoadBalancer,
    handler: Handler,
    leave: Callable[[requests.Response], None],
) -> None:
    server.handler = handler
    responses = [client.get("http://orders/", stream=True)]

    leave(responses.pop())
    gc.collect()

    assert outcomes_of(service) == DONE


def test_a_chunked_iterator_that_is_dropped_gives_the_backend_back_at_once(
    client: Balanced, server: LoopbackServer, service: LoadBalancer
) -> None:
    server.handler = CHUNKED
    response = client.get("http://orders/", stream=True)

    for _ in response.iter_content(2):
        break

    assert outcomes_of(service) == DONE
    response.close()


def test_a_body_that_is_left_takes_no_lock_of_the_balancers(
    client: Balanced, server: LoopbackServer, service: LoadBalancer
) -> None:
    server.handler = SIZED
    response = client.get("http://orders/", stream=True)

    # A finaliser may run while this very thread holds it.
    with service.core._lock:
        response.close()

    assert outcomes_of(service) == DONE


def test_a_body_that_ends_twice_is_given_back_once(
    client: Balanced, server: LoopbackServer, service: LoadBalancer
) -> None:
    server.handler = SIZED
    first = client.get("http://orders/", stream=True)
    second = client.get("http://orders/", stream=True)

    for _ in range(2):
        assert first.content == FULL
        first.close()
        first.raw.drain_conn()

    assert outcomes_of(service) == (2, 0, 1)
    second.close()


def test_the_selection_is_in_flight_and_no_longer_waiting_while_a_body_is_read(
    client: Balanced, server: LoopbackServer, service: LoadBalancer
) -> None:
    server.handler = SIZED

    response = client.get("http://orders/", stream=True)

    (stats,) = service.stats().backends
    assert (stats.in_flight, stats.waiting) == (1, 0)
    held = vars(response.raw)["_lb_selection"]
    assert isinstance(held, Selection)
    del held
    response.close()
