"""Which backends the balancer selects from: groups, weights, room, subsets."""

from __future__ import annotations

import random

import pytest

from lbtransport import Backend, LoadBalancer, NoBackendsAvailable
from lbtransport.strategies import STRATEGIES
from tests.balancer.kit import chosen
from tests.core_kit import (
    CUT,
    A,
    B,
    C,
    advance,
    answer,
    make_service,
    select_only,
    states_of,
)


def test_all_backends_are_used() -> None:
    assert chosen(make_service([A, B, C])) == {A, B, C}


def test_excluded_backend_is_not_selected() -> None:
    service = make_service([A, B])

    assert {service.select(exclude=[A]).backend.url for _ in range(20)} == {B}
    assert {service.select(exclude=[Backend(B)]).backend.url for _ in range(20)} == {A}


def test_nobody_is_left_when_all_are_excluded() -> None:
    service = make_service([A, B])

    with pytest.raises(NoBackendsAvailable, match="2 of 2 already tried"):
        service.select(exclude=[A, B])


def test_lower_priorities_serve_while_the_higher_are_unusable() -> None:
    service = make_service([Backend(A), Backend(B), Backend(C, priority=1)])
    assert chosen(service) == {A, B}

    service.drain(A)
    service.drain(B)
    assert chosen(service) == {C}

    service.drain(B, False)
    assert chosen(service) == {B}


def test_lower_priorities_take_what_does_not_fit() -> None:
    service = make_service([Backend(A), Backend(B, priority=1)], max_in_flight=2)

    urls = [service.select() for _ in range(4)]

    assert [s.backend.url for s in urls] == [A, A, B, B]


def test_excluding_the_first_group_gives_the_next() -> None:
    service = make_service([Backend(A), Backend(B, priority=1), Backend(C, weight=0)])

    assert service.select(exclude=[A]).backend.url == B
    assert service.select(exclude=[A, B]).backend.url == C


def test_own_zone_serves_while_it_is_usable() -> None:
    service = make_service([Backend(A, zone="a"), Backend(B, zone="b")], zone="b")
    assert chosen(service) == {B}

    service.mark_healthy(B, False)
    assert chosen(service) == {A}


def test_weight_0_serves_only_when_no_other_is_left() -> None:
    service = make_service([Backend(A, weight=0), Backend(B)])
    assert chosen(service) == {B}

    service.drain(B)
    assert chosen(service) == {A}


def test_all_of_weight_0_are_equal() -> None:
    service = make_service([Backend(A, weight=0), Backend(B, weight=0)])

    assert chosen(service) == {A, B}


@pytest.mark.parametrize("strategy", sorted(STRATEGIES))
def test_backend_gets_no_more_than_its_room(strategy: str) -> None:
    service = make_service([A, B], max_in_flight=3, strategy=strategy)

    selections = [service.select() for _ in range(6)]

    assert [b.in_flight for b in service.stats().backends] == [3, 3]
    with pytest.raises(NoBackendsAvailable, match="2 of 2 at max_in_flight"):
        service.select()
    selections[0].release()
    assert service.select().backend == selections[0].backend


def test_subset_keeps_to_a_part_of_the_fleet() -> None:
    fleet = [f"http://10.0.1.{number}" for number in range(20)]
    service = make_service(fleet, subset=3)

    used = chosen(service)

    assert len(used) == 3
    assert len(service.backends) == 20
    assert sum(b.total for b in service.stats().backends if b.backend.url in used) == 60


def test_subset_of_each_balancer_is_its_own() -> None:
    fleet = [f"http://10.0.1.{number}" for number in range(20)]
    subsets = {
        frozenset(
            chosen(LoadBalancer("orders", fleet, subset=3, rng=random.Random(seed)), 60)
        )
        for seed in range(5)
    }

    assert len(subsets) == 5


def test_subset_is_refilled_when_one_of_it_leaves() -> None:
    fleet = [f"http://10.0.1.{number}" for number in range(20)]
    service = make_service(fleet, subset=3)
    before = chosen(service)

    service.remove_backend(min(before))

    assert len(chosen(service)) == 3
    assert chosen(service) > before - {min(before)}


def test_ejected_backend_outside_the_subset_leaves_the_cap_alone() -> None:
    fleet = [f"http://10.0.1.{number}" for number in range(30)]
    service = make_service(fleet, subset=2)
    sick = min(chosen(service))
    select = select_only
    for _ in range(5):
        selection = select(service, sick)
        advance(service, 0.001)
        selection.release(outcome=CUT)
    assert states_of(service)[sick] == "ejected"

    # The newcomers push the ejected one out of the subset, though not out of the list.
    number = 0
    while sick in {s.backend.url for s in service.core._roster.members}:
        service.add_backend(f"http://10.0.2.{number}")
        number += 1
    other = min(s.backend.url for s in service.core._roster.members)
    answer(service, other, *[CUT] * 5)

    assert states_of(service)[other] == "ejected"
