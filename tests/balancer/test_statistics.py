"""What the balancer says about its backends."""

from __future__ import annotations

import pytest

from tests.balancer.kit import SUCCESS, wait_for_return
from tests.core_kit import (
    CUT,
    A,
    B,
    advance,
    answer,
    eject,
    make_service,
    select_only,
    stats_of,
)


def test_statistics_count() -> None:
    service = make_service([A, B])
    answer(service, A, SUCCESS, CUT, SUCCESS)
    answer(service, B, SUCCESS)
    advance(service, 9.0)

    found = stats_of(service, A)

    assert (found.total, found.failures, found.share) == (3, 1, 0.75)
    assert found.last_used == pytest.approx(1000.004)
    assert found.healthy
    assert found.state == "closed"
    assert found.returns_in is None


def test_statistics_of_an_idle_service() -> None:
    (found,) = make_service([A]).stats().backends

    assert (found.total, found.share, found.latency, found.last_used) == (
        0,
        0.0,
        None,
        None,
    )


def test_statistics_are_a_copy() -> None:
    service = make_service([A])
    before = service.stats()

    service.select().release()

    assert before.name == "orders"
    assert before.backends[0].total == 0


def test_trial_that_is_on_returns_at_no_known_time() -> None:
    service = make_service([A, B])
    eject(service, A)
    wait_for_return(service, A)
    assert stats_of(service, A).returns_in == 0.0

    trial = select_only(service, A)

    assert (stats_of(service, A).state, stats_of(service, A).returns_in) == (
        "half_open",
        None,
    )
    trial.release()


@pytest.mark.parametrize(
    ("strategy", "unkeyed"),
    [
        ("consistent_hash", 2),
        ("rendezvous;load_factor=1.25", 2),
        ("maglev;table_size=17", 2),
        ("round_robin", 0),
    ],
)
def test_selections_without_a_key_count_where_keys_do(
    strategy: str, unkeyed: int
) -> None:
    service = make_service([A, B], strategy=strategy)

    for key in (None, "user-17", None, 0, ""):
        service.select(key=key).release()

    assert service.stats().unkeyed == unkeyed
