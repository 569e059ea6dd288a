"""Every state that a backend may be in, and every way from one to another."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lbtransport import LoadBalancer, Outcome, events
from lbtransport._types import Fault
from lbtransport._types.answers import outcome_of_status
from lbtransport._types.outcome import CANCELLED, FAULTS
from tests.balancer.kit import SUCCESS, kinds, wait_for_return
from tests.core_kit import (
    CUT,
    REFUSED,
    A,
    B,
    advance,
    answer,
    eject,
    make_service,
    select_only,
    stats_of,
)
from tests.health.detector.kit import WRONG_CERTIFICATE

Step = Callable[[LoadBalancer], object]


def stay(service: LoadBalancer) -> None:
    """Leave the backend in rotation."""


def get_ejected(service: LoadBalancer) -> None:
    eject(service, A)
    advance(service, 0.001)


def get_half_open(service: LoadBalancer) -> None:
    get_ejected(service)
    wait_for_return(service, A)


def get_throttled(service: LoadBalancer) -> None:
    until = service.core.clock.monotonic() + 5
    select_only(service, A).release(outcome=Outcome.throttled(until))


def get_drained(service: LoadBalancer) -> None:
    service.drain(A)


def answer_with(*outcomes: Outcome) -> Step:
    return lambda service: answer(service, A, *outcomes)


def mark(healthy: bool | None) -> Step:
    return lambda service: service.mark_healthy(A, healthy)


def wait(seconds: float) -> Step:
    return lambda service: advance(service, seconds)


EJECTED, RETURNED = events.BackendEjected, events.BackendReturned
ON_TRIAL, THROTTLED = events.BackendOnTrial, events.BackendThrottled
MARKED, DRAINING = events.BackendMarked, events.BackendDraining


@pytest.mark.parametrize(
    ("before", "step", "after", "heard"),
    [
        pytest.param(stay, answer_with(SUCCESS), "closed", [], id="success"),
        pytest.param(stay, answer_with(*[CUT] * 4), "closed", [], id="four failures"),
        pytest.param(
            stay, answer_with(*[CUT] * 5), "ejected", [EJECTED], id="five failures"
        ),
        pytest.param(
            stay,
            answer_with(*[CUT, SUCCESS] * 9),
            "closed",
            [],
            id="fewer than half of twenty",
        ),
        pytest.param(
            stay,
            answer_with(*[SUCCESS, CUT] * 10),
            "ejected",
            [EJECTED],
            id="half of twenty",
        ),
        pytest.param(stay, get_throttled, "throttled", [THROTTLED], id="throttled"),
        pytest.param(stay, get_drained, "draining", [DRAINING], id="drained"),
        pytest.param(stay, mark(False), "marked_unhealthy", [MARKED], id="marked sick"),
        pytest.param(stay, mark(True), "marked_healthy", [MARKED], id="marked well"),
        pytest.param(get_ejected, wait(0.7), "ejected", [], id="too early"),
        pytest.param(get_ejected, wait(1.2), "half_open", [], id="in time"),
        pytest.param(
            get_ejected,
            mark(True),
            "marked_healthy",
            [MARKED],
            id="ejected and marked well",
        ),
        pytest.param(
            get_ejected, get_drained, "draining", [DRAINING], id="ejected and drained"
        ),
        pytest.param(get_half_open, wait(1000), "half_open", [], id="no traffic"),
        pytest.param(
            get_half_open,
            answer_with(SUCCESS),
            "closed",
            [ON_TRIAL, RETURNED],
            id="trial passed",
        ),
        pytest.param(
            get_half_open,
            answer_with(CUT),
            "ejected",
            [ON_TRIAL, EJECTED],
            id="trial failed",
        ),
        pytest.param(
            get_half_open,
            answer_with(Outcome.neutral()),
            "half_open",
            [ON_TRIAL],
            id="trial without a verdict",
        ),
        pytest.param(
            get_half_open,
            get_throttled,
            "half_open",
            [ON_TRIAL, THROTTLED],
            id="trial throttled",
        ),
        pytest.param(
            get_throttled, wait(4.999), "throttled", [], id="throttled until later"
        ),
        pytest.param(get_throttled, wait(5.0), "closed", [], id="throttled until now"),
        pytest.param(
            get_throttled,
            mark(True),
            "marked_healthy",
            [MARKED],
            id="throttled and marked well",
        ),
        pytest.param(
            get_drained,
            lambda s: s.drain(A, False),
            "closed",
            [DRAINING],
            id="drained no longer",
        ),
        pytest.param(
            get_drained, mark(True), "draining", [MARKED], id="drained and marked well"
        ),
    ],
)
def test_state_and_event_of_each_transition(
    before: Step, step: Step, after: str, heard: list[type]
) -> None:
    service = make_service([A, B])
    before(service)
    noted = kinds(service)

    step(service)

    assert stats_of(service, A).state == after
    assert noted == heard


@pytest.mark.parametrize("healthy", [True, False])
def test_mark_that_is_taken_back_leaves_what_the_evidence_says(healthy: bool) -> None:
    service = make_service([A, B])
    get_ejected(service)
    service.mark_healthy(A, healthy)

    service.mark_healthy(A, None)

    assert stats_of(service, A).state == "ejected"


def test_certificates_that_nobody_trusts_eject_nobody_and_are_reported_once() -> None:
    service = make_service([A, B])
    noted = kinds(service)

    for _ in range(20):
        for url in (A, B):
            answer(service, url, WRONG_CERTIFICATE)

    assert noted == [events.CertificatesRefused]


@pytest.mark.parametrize(
    "outcome",
    [
        outcome_of_status(422),
        FAULTS[Fault.POOL],
        FAULTS[Fault.LOCAL],
        FAULTS[Fault.DECODING],
        CANCELLED,
    ],
    ids=lambda outcome: outcome.reason,
)
def test_burst_of_what_the_backend_did_not_do_ejects_nobody(outcome: Outcome) -> None:
    service = make_service([A, B])
    noted = kinds(service)

    answer(service, A, *[outcome] * 100)

    assert noted == []
    assert stats_of(service, A).failures == 0


def test_refused_connections_are_not_capped_but_bad_answers_are() -> None:
    service = make_service(["http://10.0.1.1", "http://10.0.1.2", A])
    for url in ("http://10.0.1.1", "http://10.0.1.2"):
        answer(service, url, *[CUT] * 5)

    answer(service, A, *[REFUSED] * 5)

    states = [one.state for one in service.stats().backends]
    assert states == ["ejected", "closed", "ejected"]
