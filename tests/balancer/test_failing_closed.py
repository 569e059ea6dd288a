"""Requests when no backend is fit for them and failing open is off."""

from __future__ import annotations

import pytest

from lbtransport import HealthPolicy, LoadBalancer, NoBackendsAvailable, Outcome
from tests.balancer.kit import kinds, make_sick, wait_for_return
from tests.core_kit import A, B, C, D, eject, make_service, select_only

CLOSED = HealthPolicy(fail_open=False)


def refusal_of(service: LoadBalancer) -> str:
    with pytest.raises(NoBackendsAvailable) as refusal:
        service.select()
    return str(refusal.value)


def test_failing_closed_says_what_is_wrong_with_each() -> None:
    service = make_service([A, B, C, D], health=CLOSED, max_in_flight=5)
    eject(service, A)
    service.drain(B)
    service.mark_healthy(C, False)
    select_only(service, D).release(outcome=Outcome.throttled(1005.0))

    message = refusal_of(service)

    assert message.startswith("no backend of 'orders' can be selected: 1 of 4 ")
    assert message.endswith(" s; see stats()")
    for reason in ("ejected", "draining", "marked unhealthy", "throttled"):
        assert f"1 of 4 {reason}, " in message
    assert ", the first returns in " in message


def test_failing_closed_counts_those_alike() -> None:
    service = make_service([A, B, C], health=CLOSED)
    for url in (A, B, C):
        select_only(service, url).release(outcome=Outcome.throttled(1012.4))

    assert refusal_of(service) == (
        "no backend of 'orders' can be selected: 3 of 3 throttled, the first returns "
        "in 12.4 s; see stats()"
    )


def test_failing_closed_while_a_trial_is_on() -> None:
    service = make_service([A, B], health=CLOSED)
    eject(service, A)
    service.drain(B)
    wait_for_return(service, A)

    service.select()
    selection = service.select()  # the first was dropped

    message = refusal_of(service)
    assert "1 of 2 half open" in message
    assert "the first returns" not in message
    selection.release()
    service.select().release()


def test_failing_closed_is_no_panic() -> None:
    service = make_sick(A, B, health=CLOSED)
    heard = kinds(service)

    refusal_of(service)

    assert heard == []
