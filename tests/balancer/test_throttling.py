"""A backend that asked to be left alone for a while."""

from __future__ import annotations

from lbtransport import Outcome, events
from tests.balancer.kit import chosen, kinds
from tests.core_kit import A, B, advance, make_service, select_only, states_of, stats_of


def test_throttled_backend_is_out_of_rotation_and_comes_back() -> None:
    service = make_service([A, B])
    heard = kinds(service)

    select_only(service, A).release(outcome=Outcome.throttled(1005.0))

    assert stats_of(service, A).returns_in == 5.0
    assert states_of(service)[A] == "throttled"
    assert chosen(service) == {B}
    advance(service, 4.999)
    assert chosen(service) == {B}
    advance(service, 0.001)
    assert chosen(service) == {A, B}
    assert heard == [events.BackendThrottled]


def test_shorter_throttling_does_not_cut_a_longer_one() -> None:
    service = make_service([A, B])
    first, second, third = (select_only(service, A) for _ in range(3))

    first.release(outcome=Outcome.throttled(1005.0))
    second.release(outcome=Outcome.throttled(1002.0))
    assert stats_of(service, A).returns_in == 5.0
    third.release(outcome=Outcome.throttled(1009.0))
    assert stats_of(service, A).returns_in == 9.0


def test_throttling_until_now_is_none() -> None:
    service = make_service([A, B])

    select_only(service, A).release(outcome=Outcome.throttled(1000.0))

    assert states_of(service)[A] == "closed"


def test_throttling_is_no_failure() -> None:
    service = make_service([A, B])

    for _ in range(10):
        select_only(service, A).release(outcome=Outcome.throttled(1000.0))

    assert stats_of(service, A).failures == 0
