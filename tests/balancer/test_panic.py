"""Requests when no backend is fit for them: the most promising one serves."""

from __future__ import annotations

import pytest

from lbtransport import NoBackendsAvailable, events
from tests.balancer.kit import chosen, kinds, make_sick
from tests.core_kit import REFUSED, A, B, C, advance, eject, make_service, states_of


def test_panic_uses_the_most_promising_backend() -> None:
    service = make_sick(B, A, C)

    assert chosen(service) == {B}


def test_panic_is_entered_and_left_once() -> None:
    service = make_sick(A, B)
    heard = kinds(service)

    chosen(service)
    chosen(service)
    service.add_backend(C)
    chosen(service)
    chosen(service)

    assert heard == [events.PanicEntered, events.BackendAdded, events.PanicLeft]


def test_success_in_a_panic_returns_the_backend() -> None:
    service = make_service([A, B])
    eject(service, A)
    service.drain(B)
    advance(service, 0.01)
    heard = kinds(service)

    service.select().release()

    assert heard == [events.PanicEntered, events.BackendReturned]
    assert states_of(service)[A] == "closed"


def test_failures_in_a_panic_take_turns() -> None:
    service = make_service([A, B, C])
    eject(service, A)
    eject(service, B)
    service.drain(C)
    urls = []

    for _ in range(6):
        advance(service, 0.001)
        selection = service.select()
        urls.append(selection.backend.url)
        advance(service, 0.001)
        selection.release(outcome=REFUSED)

    assert urls == [A, B] * 3


def test_panic_does_not_overrule_the_drain() -> None:
    service = make_sick(A, B)
    service.drain(A)
    service.drain(B)

    with pytest.raises(NoBackendsAvailable, match="2 of 2 draining; see stats"):
        service.select()


def test_panic_uses_another_when_the_most_promising_one_is_full() -> None:
    service = make_sick(A, B, max_in_flight=1)

    first, second = service.select(), service.select()

    assert [first.backend.url, second.backend.url] == [A, B]
