from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from lbtransport import LoadBalancer
from lbtransport._demo.tally import Call, Tally
from lbtransport._demo.traffic import CLIENTS, Pace, Traffic
from lbtransport.testing import ManualClock
from tests.conftest import ServerStarter
from tests.servers import LoopbackServer, reply

PATIENCE = 60  # seconds


class WatchedTally(Tally):
    """Knows when it has heard of each client."""

    def __init__(self) -> None:
        super().__init__()
        self.heard_of_all = threading.Event()

    @contextmanager
    def call(self, client: str) -> Iterator[Call]:
        with super().call(client) as call:
            yield call
        count = self.count()
        if len(count.answers | count.errors) == len(CLIENTS):
            self.heard_of_all.set()


def test_pace_spaces_requests_evenly() -> None:
    clock = ManualClock()
    pace = Pace(0.06, 0.02, clock.monotonic)

    pauses = []
    for _ in range(3):
        pauses.append(pace.pause())
        clock.advance(pauses[-1])

    assert pauses == pytest.approx([0.02, 0.06, 0.06])


def test_worker_that_is_late_goes_at_once_and_does_not_hurry_afterwards() -> None:
    clock = ManualClock()
    pace = Pace(0.06, 0, clock.monotonic)
    pace.pause()

    clock.advance(1)

    assert pace.pause() == 0
    assert pace.pause() == pytest.approx(0.06)


def test_three_clients_reach_the_servers_under_the_logical_name(
    start_server: ServerStarter,
) -> None:
    server: LoopbackServer = start_server(reply(body=b'{"server": "a"}'))
    tally = WatchedTally()

    with LoadBalancer("orders", [server.url]) as orders, Traffic(orders, tally):
        assert tally.heard_of_all.wait(PATIENCE)

    count = tally.count()
    assert set(count.answers) == set(CLIENTS)
    assert count.servers["a"] == len(server.requests)
    assert {request.headers["Host"] for request in server.requests} == {"orders"}
    assert not count.messages
    assert orders.stats().backends[0].in_flight == 0


def test_error_status_is_an_error_that_the_caller_sees(
    start_server: ServerStarter,
) -> None:
    server: LoopbackServer = start_server(reply(500))
    tally = WatchedTally()

    with LoadBalancer("orders", [server.url]) as orders, Traffic(orders, tally):
        assert tally.heard_of_all.wait(PATIENCE)

    assert set(tally.count().errors) == set(CLIENTS)
    assert not tally.count().answers


def test_clients_that_started_end_if_one_cannot_start(
    monkeypatch: pytest.MonkeyPatch, refused_url: str
) -> None:
    start = threading.Thread.start
    started: list[threading.Thread] = []

    def start_two(thread: threading.Thread) -> None:
        if len(started) == 2:
            raise RuntimeError("can't start new thread")
        started.append(thread)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", start_two)

    with pytest.raises(RuntimeError, match="can't start"):
        Traffic(LoadBalancer("orders", [refused_url]), Tally()).__enter__()

    assert not any(thread.is_alive() for thread in started)
