"""Requests that wait until a backend has room."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from lbtransport import NoBackendsAvailable
from lbtransport._clock import SystemClock
from tests.requests_adapter.conftest import Balance
from tests.requests_adapter.kit import FULL, SIZED, orders_at
from tests.servers import PATIENCE, LoopbackServer

URL = "http://orders/"


def test_a_request_waits_until_the_body_before_it_has_ended(
    balance: Balance, server: LoopbackServer
) -> None:
    server.handler = SIZED
    service = orders_at(
        server.url, max_in_flight=1, max_queued=2, queue_timeout=PATIENCE
    )
    client = balance(service)
    first = client.get(URL, stream=True)

    with ThreadPoolExecutor(1) as pool:
        second = pool.submit(client.get, URL)
        while not service.stats().queued:
            continue
        sent = len(server.requests)
        first.close()

        assert sent == 1
        assert second.result(PATIENCE).content == FULL
    assert service.stats().queued == 0


def test_a_request_that_waits_in_vain_fails_as_one_that_cannot_connect(
    balance: Balance, server: LoopbackServer
) -> None:
    server.handler = SIZED
    service = orders_at(
        server.url,
        max_in_flight=1,
        max_queued=2,
        queue_timeout=0.01,
        clock=SystemClock(),
    )
    client = balance(service)
    first = client.get(URL, stream=True)

    with pytest.raises(requests.ConnectionError, match=r"queue_timeout=0\.01 s") as it:
        client.get(URL)

    assert isinstance(it.value, NoBackendsAvailable)
    first.close()
