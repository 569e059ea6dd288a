"""Health is ignored while too few backends are usable."""

from __future__ import annotations

import logging

import pytest

from lbtransport import HealthPolicy, LoadBalancer, Outcome, events
from tests.balancer.kit import chosen, kinds, wait_for_return
from tests.core_kit import (
    REFUSED,
    URLS,
    A,
    B,
    C,
    D,
    advance,
    answer,
    make_service,
    select_only,
    states_of,
)


def service_with(threshold: float) -> LoadBalancer:
    health = HealthPolicy(panic_threshold=threshold, max_ejection_time=15, slow_start=0)
    return make_service(URLS, health=health)


def eject(service: LoadBalancer, *urls: str) -> None:
    for url in urls:
        answer(service, url, *[REFUSED] * 5)
        assert states_of(service)[url] == "ejected"


@pytest.mark.parametrize(
    ("threshold", "ejected", "expected"),
    [
        (0.0, [A, B, C], {D}),
        (0.5, [A, B], {C, D}),  # half exactly is enough
        (0.51, [A, B], {A, B, C, D}),
        (0.5, [A, B, C], {A, B, C, D}),
        (1.0, [A], {A, B, C, D}),
        (1.0, [], {A, B, C, D}),
    ],
)
def test_panic_begins_below_the_threshold(
    threshold: float, ejected: list[str], expected: set[str]
) -> None:
    service = service_with(threshold)

    eject(service, *ejected)
    advance(service, 0.001)
    urls = {service.select().backend.url for _ in range(60)}

    assert urls == expected


def test_panic_uses_neither_drained_nor_marked_nor_throttled_ones() -> None:
    service = service_with(0.9)
    eject(service, A)
    service.drain(B)
    service.mark_healthy(C, False)
    select_only(service, D).release(outcome=Outcome.throttled(1100.0))

    assert chosen(service) == {A}


def test_mark_brings_an_ejected_backend_into_the_panic_as_ever() -> None:
    service = service_with(0.9)
    eject(service, A, B)
    service.mark_healthy(A, True)
    service.drain(C)

    urls = {service.select().backend.url for _ in range(60)}

    assert urls == {A, B, D}


def test_drained_backends_do_not_count() -> None:
    service = service_with(0.6)
    eject(service, A)
    service.drain(B)

    assert chosen(service) == {C, D}


def test_panic_is_entered_and_left_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, logger="lbtransport.health")
    service = service_with(0.6)
    eject(service, A, B)
    heard = kinds(service)

    selections = [service.select() for _ in range(10)]
    service.drain(A)
    service.drain(B)
    chosen(service)

    panics = [kind for kind in heard if "Panic" in kind.__name__]
    assert panics == [events.PanicEntered, events.PanicLeft]
    assert [record.getMessage() for record in caplog.records] == [
        "panic entered, too few backends are usable, health is ignored service=orders",
        "panic left service=orders",
    ]
    assert len(selections) == 10


def test_success_in_a_panic_returns_the_backend() -> None:
    service = service_with(0.6)
    eject(service, A, B)
    advance(service, 0.001)

    chosen(service)

    # Then there are enough, and the other one waits for its trial.
    assert sorted(states_of(service).values()) == ["closed"] * 3 + ["ejected"]


def test_panic_does_not_make_the_last_usable_one_ejectable() -> None:
    service = service_with(0.6)
    eject(service, A, B, C)

    answer(service, D, *[REFUSED] * 20)

    assert states_of(service)[D] == "closed"


def test_panic_ends_when_time_has_brought_back_enough() -> None:
    service = service_with(0.5)
    eject(service, A, B, C)
    chosen_before = service.select()
    heard = kinds(service)

    for url in (A, B, C):
        wait_for_return(service, url)
    chosen_before.cancel()
    service.select().cancel()

    assert events.PanicLeft in heard


def test_panic_needs_no_look_at_all_backends_for_each_request() -> None:
    service = service_with(0.9)
    eject(service, A, B)
    service.select().cancel()

    assert service.core._roster.stale_at > service.core.clock.monotonic()
