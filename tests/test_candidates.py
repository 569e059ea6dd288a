"""Who may be selected, and in which order of preference."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest

from lbtransport import Backend, HealthPolicy
from lbtransport._backends import BackendState
from lbtransport._candidates import Selectable, find_selectable, make_tiers, without
from lbtransport._roster import subset_of
from lbtransport.strategies import Candidates
from tests.core_kit import A, B, C

NOW = 1000.0


def make(url: str, **attributes: Any) -> BackendState:
    return BackendState(Backend(url, **attributes))


def eject(state: BackendState, *, now: float = NOW, seconds: float = 10.0) -> None:
    policy = HealthPolicy(base_ejection_time=seconds, max_ejection_time=seconds)
    state.circuit.open(now, policy, random.Random(7))
    state.circuit.ejected_until = now + seconds
    state.circuit.last_failed_at = now


def find(
    *states: BackendState,
    now: float = NOW,
    zone: str | None = None,
    max_in_flight: float = math.inf,
    fail_open: bool = True,
) -> Selectable:
    return find_selectable(
        states,
        make_tiers(states, zone=zone),
        now,
        max_in_flight=max_in_flight,
        fail_open=fail_open,
    )


def groups(selectable: Selectable) -> list[list[str]]:
    return [[state.backend.url for state in group] for group in selectable.groups]


def test_equal_backends_are_one_group() -> None:
    selectable = find(make(A), make(B))

    assert groups(selectable) == [[A, B]]
    assert (selectable.usable, selectable.in_rotation) == (2, 2)
    assert not selectable.in_panic
    assert selectable.stale_at == math.inf


def test_nobody_is_no_group() -> None:
    selectable = find()

    assert groups(selectable) == []
    assert len(selectable.candidates) == 0
    assert not selectable.in_panic


def test_lowest_priority_comes_first() -> None:
    assert groups(find(make(A, priority=2), make(B), make(C, priority=1))) == [
        [B],
        [C],
        [A],
    ]


def test_own_zone_comes_first_within_a_priority() -> None:
    found = find(make(A, zone="a"), make(B, zone="b"), make(C), zone="b")

    assert groups(found) == [[B], [A, C]]


def test_zone_of_a_caller_without_one_does_not_matter() -> None:
    assert groups(find(make(A, zone="a"), make(B))) == [[A, B]]


def test_weight_0_comes_last_of_all() -> None:
    found = find(make(A, weight=0, zone="b"), make(B, priority=9), zone="b")

    assert groups(found) == [[B], [A]]


def test_full_backend_is_usable_but_no_candidate() -> None:
    full, free = make(A), make(B, priority=1)
    full.in_flight, free.in_flight = 2, 1

    selectable = find(full, free, max_in_flight=2)

    assert groups(selectable) == [[B]]
    assert selectable.usable == 2


def set_draining(state: BackendState) -> None:
    state.is_draining = True


def set_marked(state: BackendState) -> None:
    state.marked = False


def set_throttled(state: BackendState) -> None:
    state.throttled_until = NOW + 1


def set_on_trial(state: BackendState) -> None:
    eject(state, now=NOW - 20)
    state.circuit.trial = 1


@pytest.mark.parametrize(
    "make_unusable", [set_draining, set_marked, set_throttled, eject, set_on_trial]
)
def test_unusable_backend_is_left_out(make_unusable: Any) -> None:
    sick = make(A)
    make_unusable(sick)

    assert groups(find(sick, make(B))) == [[B]]


def test_half_open_backend_may_be_selected_but_is_not_in_rotation() -> None:
    half_open = make(A)
    eject(half_open, now=NOW - 10)

    selectable = find(half_open, make(B))

    assert groups(selectable) == [[A, B]]
    assert (selectable.usable, selectable.in_rotation) == (2, 1)


def test_mark_overrules_the_evidence_but_not_the_drain() -> None:
    ejected, drained = make(A), make(B)
    eject(ejected)
    ejected.marked = drained.marked = drained.is_draining = True

    assert groups(find(ejected, drained)) == [[A]]


@pytest.mark.parametrize(("throttled", "stale_at"), [(5, 1005), (15, 1010)])
def test_answer_is_stale_when_the_first_one_returns(
    throttled: float, stale_at: float
) -> None:
    ejected, throttling = make(A), make(B)
    eject(ejected)
    throttling.throttled_until = NOW + throttled

    assert find(ejected, throttling, make(C)).stale_at == stale_at


def test_backend_both_ejected_and_throttled_returns_after_both() -> None:
    both = make(A)
    eject(both)
    both.throttled_until = NOW + 15

    assert find(both, make(B)).stale_at == NOW + 15


@pytest.mark.parametrize("make_unusable", [set_draining, set_marked, set_on_trial])
def test_time_alone_does_not_bring_back_what_others_decide(make_unusable: Any) -> None:
    sick = make(A)
    make_unusable(sick)

    assert find(sick, make(B)).stale_at == math.inf


# Panic


def test_panic_takes_the_one_that_failed_longest_ago() -> None:
    lately, long_ago = make(A), make(B)
    eject(lately, now=NOW - 1)
    eject(long_ago, now=NOW - 2)

    selectable = find(lately, long_ago)

    assert groups(selectable) == [[B]]
    assert selectable.in_panic
    assert selectable.usable == 0
    assert selectable.stale_at == NOW + 8


def test_panic_takes_those_that_asked_to_be_left_alone_by_their_return() -> None:
    late, soon, failed = make(A), make(B), make(C)
    late.throttled_until, soon.throttled_until = NOW + 9, NOW + 3
    failed.marked = None
    eject(failed)
    failed.throttled_until = NOW + 1

    assert groups(find(late, soon, failed)) == [[C]]


def test_panic_takes_what_the_operator_marked_last() -> None:
    marked, throttled = make(A), make(B)
    marked.marked = False
    throttled.throttled_until = NOW + 60

    assert groups(find(marked, throttled)) == [[B]]
    assert groups(find(marked)) == [[A]]


def test_panic_never_takes_what_drains() -> None:
    drained = make(A)
    drained.is_draining = True

    selectable = find(drained)

    assert groups(selectable) == []
    assert not selectable.in_panic


def test_no_panic_where_failing_open_is_off() -> None:
    sick = make(A)
    eject(sick)

    selectable = find(sick, fail_open=False)

    assert groups(selectable) == []
    assert not selectable.in_panic


def test_panic_passes_over_those_without_room() -> None:
    full, free = make(A), make(B)
    full.throttled_until, free.throttled_until = NOW + 1, NOW + 2
    full.in_flight = 1

    assert groups(find(full, free, max_in_flight=1)) == [[B]]


# What is left of them


def test_without_takes_away_what_was_tried() -> None:
    states = [make(A), make(B), make(C)]

    left = without(Candidates(states), [Backend(B)])

    assert list(left) == [states[0], states[2]]
    assert list(left.members) == states


def test_without_anything_tried_changes_nothing() -> None:
    candidates = Candidates([make(A)])

    assert without(candidates, [Backend(B)]) is candidates


# Subsets


def fleet(size: int) -> list[BackendState]:
    return [make(f"http://10.0.1.{number}") for number in range(size)]


def test_subset_is_stable_when_the_list_changes() -> None:
    states = fleet(100)
    before = subset_of(states, 10, identity=b"me")

    after = subset_of(states[::-1][1:], 10, identity=b"me")

    assert len({id(state) for state in before} & {id(state) for state in after}) >= 9


def test_subsets_of_many_clients_spread_over_the_fleet() -> None:
    states = fleet(20)

    used = {
        state.backend.url
        for client in range(40)
        for state in subset_of(states, 2, identity=b"%d" % client)
    }

    assert len(used) == 20


def test_subset_of_a_small_fleet_is_all_of_it() -> None:
    assert len(subset_of(fleet(3), 5, identity=b"me")) == 3
