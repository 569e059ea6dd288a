"""The deadline: over connecting, waiting for headers, and the body."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
import requests
import urllib3
from urllib3.util import Timeout

from lbtransport import options
from lbtransport._clock import ManualClock, SystemClock
from tests.conftest import ServerStarter
from tests.requests_adapter.conftest import Balance
from tests.requests_adapter.kit import (
    DONE,
    orders_at,
    outcomes_of,
)
from tests.servers import (
    Fate,
    LoopbackServer,
    Piece,
    Reply,
    hang,
)


@pytest.mark.parametrize("in_chunks", [True, False])
def test_a_body_that_trickles_in_is_cut_at_the_deadline(
    balance: Balance, start_server: ServerStarter, in_chunks: bool
) -> None:
    clock = ManualClock()
    sent = threading.Event()

    def trickle(_: object) -> Reply:
        headers = [] if in_chunks else [("Content-Length", "1000")]
        return Reply(headers=headers, body=[b"a", sent, *[b"b"] * 999])

    service = orders_at(start_server(trickle).url, clock=clock)
    client = balance(service)

    with options(deadline=5):
        response = client.get("http://orders/", stream=True)
    chunks = response.iter_content(1)
    assert next(chunks) == b"a"
    clock.advance(6)
    sent.set()
    with pytest.raises(requests.ConnectionError, match="deadline") as raised:
        next(chunks)

    assert isinstance(raised.value.args[0], urllib3.exceptions.ReadTimeoutError)
    assert outcomes_of(service) == DONE


def test_one_large_read_is_cut_at_the_deadline_as_well(
    balance: Balance, start_server: ServerStarter
) -> None:
    clock = ManualClock()
    is_read = threading.Event()

    def trickle(_: object) -> Reply:
        def pieces() -> Iterator[Piece]:
            yield b"a"
            yield is_read
            clock.advance(6)
            yield b"b"
            yield Fate.HANG

        return Reply(headers=[("Content-Length", "100")], body=pieces())

    server = start_server(trickle)
    service = orders_at(server.url, clock=clock)
    client = balance(service)

    with options(deadline=5):
        response = client.get("http://orders/", stream=True)
    is_read.set()
    with pytest.raises(requests.ConnectionError, match="deadline"):
        _ = response.content

    assert outcomes_of(service) == DONE
    server.wait_until(lambda server: server.open_connections == 0)


def test_a_stall_lasts_no_longer_than_the_deadline(
    balance: Balance, start_server: ServerStarter
) -> None:
    clock = ManualClock()
    silent = start_server(lambda _: Reply(body=[b"four", Fate.HANG]))
    service = orders_at(silent.url, clock=clock)
    client = balance(service)

    with options(deadline=5):
        response = client.get("http://orders/", stream=True, timeout=60)
    clock.advance(4.95)
    with pytest.raises(requests.ConnectionError):
        _ = response.content

    assert outcomes_of(service)[2] == 0


@pytest.mark.parametrize(
    "timeout",
    [None, 60, (60, 60), (60, None), Timeout(read=60), Timeout(total=60)],
    ids=repr,
)
def test_a_deadline_caps_the_callers_own_timeout(
    balance: Balance, start_server: ServerStarter, timeout: object
) -> None:
    silent = start_server(hang)
    client = balance(orders_at(silent.url, clock=SystemClock()))

    with options(deadline=0.05), pytest.raises(requests.ReadTimeout):
        client.get("http://orders/", timeout=timeout)  # type: ignore[arg-type]  # all that requests takes


@pytest.mark.parametrize("timeout", [0.05, (60, 0.05), Timeout(total=0.05)], ids=repr)
def test_a_shorter_timeout_of_the_callers_stands(
    balance: Balance, start_server: ServerStarter, timeout: object
) -> None:
    silent = start_server(hang)
    client = balance(orders_at(silent.url, retry=False))

    with options(deadline=60), pytest.raises(requests.ReadTimeout):
        client.get("http://orders/", timeout=timeout)  # type: ignore[arg-type]  # all that requests takes


def test_a_services_own_deadline_needs_no_option(
    balance: Balance, start_server: ServerStarter
) -> None:
    silent = start_server(hang)
    client = balance(orders_at(silent.url, clock=SystemClock(), deadline=0.05))

    with pytest.raises(requests.ReadTimeout):
        client.get("http://orders/")


def test_a_timeout_that_requests_refuses_is_refused_in_its_words(
    balance: Balance, server: LoopbackServer
) -> None:
    client = balance(server.url)

    with options(deadline=5), pytest.raises(ValueError, match="Invalid timeout"):
        client.get("http://orders/", timeout=(1, 2, 3))  # type: ignore[arg-type]  # on purpose
