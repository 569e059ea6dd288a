"""Successes, which nobody counts: the difference of what is counted anyway."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from lbtransport import HealthPolicy, LoadBalancer, Outcome, Selection, events
from lbtransport.load_balancer import _instances
from tests.balancer.kit import SUCCESS
from tests.core_kit import (
    CUT,
    STATUS_500,
    A,
    B,
    C,
    advance,
    answer,
    make_service,
    select_only,
    states_of,
)

NOT_FOUND = Outcome(SUCCESS.health, "status 404", status=404)


def successes(service: LoadBalancer, url: str = A) -> int:
    return service.core._roster.table.find(url).successes


def answered(outcome: Outcome, last: Outcome | None = None) -> Callable[[Any], None]:
    def end(selection: Selection) -> None:
        selection.responded(outcome=outcome)
        selection.release(outcome=last)

    return end


@pytest.mark.parametrize(
    ("end", "expected"),
    [
        pytest.param(Selection.release, 1, id="released"),
        pytest.param(answered(SUCCESS), 1, id="read to the end"),
        pytest.param(answered(NOT_FOUND), 1, id="the caller's mistake"),
        pytest.param(answered(SUCCESS, CUT), 0, id="cut"),
        pytest.param(answered(NOT_FOUND, CUT), 0, id="cut after a verdict"),
        pytest.param(answered(STATUS_500), 0, id="failed, and read to the end"),
        pytest.param(answered(STATUS_500, STATUS_500), 0, id="failed twice"),
        pytest.param(answered(Outcome.throttled(0.0)), 0, id="throttled"),
        pytest.param(answered(SUCCESS, Outcome.neutral()), 0, id="closed early"),
        pytest.param(lambda s: s.release(outcome=CUT), 0, id="no answer"),
        pytest.param(Selection.cancel, 0, id="cancelled"),
        pytest.param(lambda s: None, 0, id="dropped before its headers"),
        pytest.param(Selection.responded, 1, id="dropped after its headers"),
    ],
)
@pytest.mark.parametrize("is_suspect", [False, True])
def test_success_is_what_ended_well(
    end: Callable[[Selection], Any], expected: int, is_suspect: bool
) -> None:
    service = make_service([A, B])
    if is_suspect:
        answer(service, A, CUT)

    end(select_only(service, A))
    service.stats()  # settles what was dropped

    assert successes(service) == expected


def test_request_in_flight_is_no_success_yet() -> None:
    service = make_service([A, B])
    selection = select_only(service, A)

    selection.responded()

    assert successes(service) == 0
    selection.release()


def test_half_of_the_requests_of_a_service_failing_eject() -> None:
    service = make_service([A, B])
    heard: list[Any] = []
    service.subscribe(heard.append)

    answer(service, A, *[SUCCESS, CUT] * 9, SUCCESS)
    assert states_of(service)[A] == "closed"
    answer(service, A, CUT)

    (event,) = heard
    assert isinstance(event, events.BackendEjected)
    assert event.reason == "10 of 20 failed, the last: disconnected"


def test_successes_before_the_first_failure_count() -> None:
    service = make_service([A, B])
    answer(service, A, *[SUCCESS] * 100)

    answer(service, A, *[CUT, SUCCESS] * 50)

    assert states_of(service)[A] == "closed"


def test_successes_that_slid_out_of_the_window_do_not_count() -> None:
    service = make_service([A, B])
    answer(service, A, *[SUCCESS] * 100)
    advance(service, 31.0)

    answer(service, A, *[SUCCESS, CUT] * 10)

    assert states_of(service)[A] == "ejected"


def test_child_of_a_fork_counts_from_its_beginning() -> None:
    service = make_service([A, B])
    answer(service, A, *[SUCCESS] * 100)
    held = [select_only(service, A) for _ in range(50)]

    _instances.reset_all()
    answer(service, A, *[SUCCESS, CUT] * 10)

    assert states_of(service)[A] == "ejected"
    del held


def test_child_of_a_fork_whose_window_is_off_keeps_it_off() -> None:
    service = make_service([A], health=HealthPolicy(failure_ratio=0))

    _instances.reset_all()

    assert service.core._detector.turns_at == float("inf")


def test_service_compares_its_backends() -> None:
    rules = HealthPolicy(
        consecutive_failures=0,
        failure_ratio=0,
        latency_factor=3,
        comparison_min_backends=3,
        comparison_min_requests=10,
    )
    service = make_service([A, B, C], health=rules)
    heard: list[Any] = []
    service.subscribe(heard.append)

    for _ in range(10):
        for url, latency in ((A, 0.1), (B, 0.1), (C, 0.9)):
            select_only(service, url).release(latency=latency)
    assert heard == []
    advance(service, 3.0)
    select_only(service, A).release()

    assert states_of(service) == {A: "closed", B: "closed", C: "ejected"}
    (event,) = heard
    assert event.reason == "it takes 0.9 s, its peers at most 0.3 s"
    advance(service, 0.1)
    assert {service.select().backend.url for _ in range(30)} == {A, B}
    advance(service, 2.0)
    select_only(service, C).release()
    assert states_of(service)[C] == "closed"
