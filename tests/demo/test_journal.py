from __future__ import annotations

import pytest

from lbtransport import Backend
from lbtransport._demo.journal import Journal, Kind, Line
from lbtransport.events import (
    AttemptRetried,
    BackendAdded,
    BackendEjected,
    BackendReturned,
)
from lbtransport.testing import ManualClock

A, B = Backend("http://127.0.0.1:1001"), Backend("http://127.0.0.1:1002")


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def journal(clock: ManualClock) -> Journal:
    return Journal({A: "a", B: "b"}, clock.monotonic)


def retried(backend: Backend, reason: str) -> AttemptRetried:
    return AttemptRetried("orders", backend, reason, 1, 0.0)


def ejected(backend: Backend, seconds: float) -> BackendEjected:
    return BackendEjected("orders", backend, "connect", seconds)


def test_lines_come_in_the_order_of_time(journal: Journal, clock: ManualClock) -> None:
    clock.advance(1)
    journal.note(ejected(B, 1.04))
    clock.advance(1)
    journal.tell("starting server b again")
    clock.advance(1)
    journal.note(BackendReturned("orders", B))

    assert journal.read() == [
        Line(1, Kind.EJECTED, "b is ejected (no connection): out for 1.0 s"),
        Line(2, Kind.TOLD, "starting server b again"),
        Line(3, Kind.RETURNED, "b passed its trial: back in rotation"),
    ]


def test_a_line_is_read_once(journal: Journal) -> None:
    journal.tell("something")
    journal.note(ejected(B, 1))

    assert len(journal.read()) == 2
    assert not journal.read()


def test_retries_of_a_server_are_told_in_one_line(
    journal: Journal, clock: ManualClock
) -> None:
    for reason in ("disconnected", "connect", "connect"):
        clock.advance(0.01)
        journal.note(retried(B, reason))
    journal.note(retried(A, "status 503"))

    assert [line.text for line in journal.read()] == [
        (
            "3 requests failed on b (disconnected, no connection): "
            "repeated on another server"
        ),
        "1 request failed on a (status 503): repeated on another server",
    ]
    assert journal.retries == 4


def test_ejection_of_one_who_is_out_is_a_failed_trial(journal: Journal) -> None:
    journal.note(ejected(B, 1))
    journal.note(ejected(B, 2))
    journal.note(BackendReturned("orders", B))
    journal.note(ejected(B, 1))

    texts = [line.text for line in journal.read()]

    assert texts[1] == "b failed its trial (no connection): out for 2.0 s more"
    assert texts[3] == "b is ejected (no connection): out for 1.0 s"
    assert journal.ejections == {"b": 3}
    assert journal.returns == {"b": 1}


def test_other_events_are_left_out(journal: Journal) -> None:
    journal.note(BackendAdded("orders", A))

    assert not journal.read()
