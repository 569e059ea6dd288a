"""Who is ejected, who is spared, and for how long."""

from __future__ import annotations

import contextlib

import pytest

from lbtransport import Backend, HealthPolicy, NoBackendsAvailable, events
from tests.balancer.kit import SUCCESS, chosen, kinds, wait_for_return
from tests.core_kit import (
    CUT,
    REFUSED,
    STATUS_500,
    TIMEOUT,
    URLS,
    A,
    B,
    C,
    advance,
    answer,
    eject,
    fail_at_once,
    make_service,
    select_only,
    states_of,
    stats_of,
)


def test_ejected_backend_gets_nothing() -> None:
    service = make_service([A, B, C])

    eject(service, A)

    assert chosen(service) == {B, C}
    assert not stats_of(service, A).healthy


def test_ten_that_fail_together_are_one_ejection() -> None:
    service = make_service([A, B])
    heard = kinds(service)

    fail_at_once(service, A, 10, CUT)

    assert heard == [events.BackendEjected]
    assert 0.8 <= (stats_of(service, A).returns_in or 0) <= 1.2
    assert stats_of(service, A).failures == 10


def test_failures_within_the_instant_of_the_ejection_are_one_episode() -> None:
    service = make_service([A, B])
    selections = [select_only(service, A) for _ in range(10)]

    for selection in selections:
        selection.release(outcome=CUT)

    assert service.core._roster.table.find(A).circuit.times_ejected == 1


def test_ejection_is_over_after_its_time() -> None:
    service = make_service([A, B])
    eject(service, A)

    returns_in = stats_of(service, A).returns_in
    assert returns_in is not None
    advance(service, returns_in - 0.001)
    assert chosen(service) == {B}
    advance(service, 0.002)
    assert states_of(service)[A] == "half_open"
    assert chosen(service) == {A, B}
    assert states_of(service)[A] == "closed"


def test_success_sent_before_the_ejection_does_not_end_it() -> None:
    service = make_service([A, B])
    early = select_only(service, A)
    advance(service, 0.001)
    eject(service, A)

    early.release()

    assert states_of(service)[A] == "ejected"


def test_late_failures_do_not_touch_the_returned_backend() -> None:
    service = make_service([A, B])
    early = [select_only(service, A) for _ in range(10)]
    advance(service, 0.001)
    eject(service, A)
    wait_for_return(service, A)
    select_only(service, A).release()

    for selection in early:
        selection.release(outcome=CUT)

    assert states_of(service)[A] == "closed"


def test_half_of_the_backends_at_most_are_ejected_on_soft_evidence() -> None:
    service = make_service(URLS, health=HealthPolicy(base_ejection_time=10))

    for url in URLS:
        with contextlib.suppress(NoBackendsAvailable):
            answer(service, url, *[CUT] * 6)

    assert list(states_of(service).values()) == ["ejected"] * 2 + ["closed"] * 2


def test_all_but_the_last_are_ejected_on_hard_evidence() -> None:
    service = make_service(URLS, health=HealthPolicy(base_ejection_time=10))

    for url in URLS:
        answer(service, url, *[REFUSED] * 5)

    assert list(states_of(service).values()) == ["ejected"] * 3 + ["closed"]


def test_last_in_rotation_is_not_ejected_while_the_others_wait_for_a_trial() -> None:
    service = make_service([A, B])
    eject(service, A)
    wait_for_return(service, A)

    answer(service, B, *[REFUSED] * 10)

    assert states_of(service)[B] == "closed"


@pytest.mark.parametrize("unused", ["drained", "marked", "other priority"])
def test_shared_fault_of_a_backend_out_of_use_protects_nobody(unused: str) -> None:
    service = make_service([Backend(A, priority=int(unused == "other priority")), B, C])
    for url in (A, B, C):
        answer(service, url, STATUS_500 if url == A else SUCCESS)
    if unused == "drained":
        service.drain(A)
    elif unused == "marked":
        service.mark_healthy(A, False)
    advance(service, 3600)

    for _ in range(10):
        answer(service, C, SUCCESS)
        if states_of(service)[B] == "closed":
            answer(service, B, STATUS_500)

    assert states_of(service)[B] == "ejected"


def test_poison_request_ejects_nobody() -> None:
    service = make_service([A, B, C])

    for _ in range(60):
        with service.select() as selection:
            selection.responded(outcome=STATUS_500)

    assert set(states_of(service).values()) == {"closed"}


def test_one_hanging_backend_of_three_is_ejected() -> None:
    service = make_service([A, B, C])

    for _ in range(60):
        selection = service.select()
        advance(service, 0.01)
        selection.release(outcome=TIMEOUT if selection.backend.url == A else SUCCESS)

    assert states_of(service) == {A: "ejected", B: "closed", C: "closed"}


def test_timeouts_are_widespread_by_what_the_others_show() -> None:
    service = make_service([A, B])

    answer(service, B, TIMEOUT, TIMEOUT, TIMEOUT)

    assert service.core.outlook.timeouts_are_widespread(Backend(A))
    assert not service.core.outlook.timeouts_are_widespread(Backend(B))


def test_timeout_of_a_removed_backend_is_no_brownout() -> None:
    service = make_service([A, B])
    answer(service, B, TIMEOUT, TIMEOUT, TIMEOUT)

    assert not service.core.outlook.timeouts_are_widespread(Backend(C))
