"""What every registered strategy keeps to, beyond the contract of all strategies.

That one is `lbtransport.testing.check_strategy`, and tests/testing runs it.
"""

from __future__ import annotations

import math
import random
from collections.abc import Hashable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbtransport import Backend, LoadBalancer, Outcome
from lbtransport._backends import BackendState
from lbtransport._clock import ManualClock
from lbtransport.strategies import STRATEGIES, Candidates, Strategy, make_strategy
from tests.strategies.kit import choose, make_members, shares, tell

HASHING = ["consistent_hash", "maglev", "rendezvous"]
WEIGHTED = [*HASHING, "power_of_two", "random"]
# Tables as large as the default's would take most of the tests' time.
SPECS = {"maglev": "maglev;table_size=1009"}

every_strategy = pytest.mark.parametrize("name", sorted(STRATEGIES))
loads_and_weights = st.lists(
    st.tuples(st.integers(0, 5), st.sampled_from([0, 0.5, 1, 3, 1000])),
    min_size=1,
    max_size=8,
)


def ready(name: str, members: Sequence[BackendState]) -> Strategy:
    strategy = make_strategy(SPECS.get(name, name))
    tell(strategy, members)
    return strategy


@every_strategy
@given(
    given_members=loads_and_weights,
    kept=st.integers(1, 255),
    key=st.none() | st.text() | st.integers(),
    seed=st.integers(),
)
def test_choice_is_a_candidate(
    name: str,
    given_members: list[tuple[int, float]],
    kept: int,
    key: Hashable,
    seed: int,
) -> None:
    members = make_members(*given_members)
    some = [member for bit, member in enumerate(members) if kept >> bit & 1] or members
    candidates = Candidates(some, members)
    strategy = ready(name, members)

    for _ in range(5):
        assert choose(strategy, candidates, random.Random(seed), key) in candidates


@every_strategy
@given(given_members=loads_and_weights)
def test_choosing_changes_nothing_but_the_strategys_own_slot(
    name: str, given_members: list[tuple[int, float]]
) -> None:
    members = make_members(*given_members)
    candidates = Candidates(members)

    def look() -> list[Any]:
        names = [slot for slot in BackendState.__slots__ if slot != "strategy_state"]
        return [[getattr(member, slot) for slot in names] for member in candidates]

    before, version = look(), candidates.version
    strategy = ready(name, members)
    for number in range(5):
        choose(strategy, candidates, random.Random(number))

    assert look() == before
    assert candidates.version == version


@every_strategy
@given(given_members=loads_and_weights, seed=st.integers())
def test_same_seed_gives_the_same_choices(
    name: str, given_members: list[tuple[int, float]], seed: int
) -> None:
    def choices() -> list[str]:
        members = make_members(*given_members)
        strategy, rng = ready(name, members), random.Random(seed)
        candidates = Candidates(members)
        return [choose(strategy, candidates, rng).backend.url for _ in range(10)]

    assert choices() == choices()


@every_strategy
def test_equal_and_idle_candidates_are_used_equally(name: str) -> None:
    members = make_members(*[(0, 1)] * 4)

    found = shares(ready(name, members), Candidates(members), 4000, keyed=True)

    # Four standard deviations of a fair draw.
    assert all(abs(share - 0.25) < 0.03 for share in found)


@pytest.mark.parametrize("name", WEIGHTED)
@given(weights=st.lists(st.sampled_from([0.1, 0.5, 1, 2, 10]), min_size=2, max_size=6))
def test_shares_of_idle_candidates_approach_their_weights(
    name: str, weights: list[float]
) -> None:
    members = make_members(*[(0, weight) for weight in weights])
    draws = 2000

    found = shares(ready(name, members), Candidates(members), draws)

    for share, weight in zip(found, weights, strict=True):
        wanted = weight / sum(weights)
        assert abs(share - wanted) < 5 * math.sqrt(wanted * (1 - wanted) / draws)


@pytest.mark.parametrize("name", WEIGHTED)
def test_candidate_of_weight_0_beside_others_gets_nothing(name: str) -> None:
    members = make_members((0, 0), (0, 1), (0, 3), (0, 0))

    found = shares(ready(name, members), Candidates(members), 500)

    assert found[0] == found[3] == 0


@pytest.mark.parametrize("name", WEIGHTED)
def test_new_weights_count_from_the_next_candidates_on(name: str) -> None:
    members = make_members((0, 1), (0, 1))
    strategy = ready(name, members)
    choose(strategy, Candidates(members), random.Random(7))

    members[0].backend = Backend(members[0].backend.url, weight=0)

    assert shares(strategy, Candidates(members), 100) == [0, 1]


@pytest.mark.parametrize(
    "spec",
    [SPECS.get(name, name) for name in sorted(STRATEGIES)]
    + ["adaptive;latency=10;load=10;errors=10"],
)
def test_weights_as_far_apart_as_can_be_leave_no_number(spec: str) -> None:
    clock = ManualClock()
    service = LoadBalancer(
        "orders",
        [Backend("http://a", weight=1e-9), Backend("http://b", weight=1e9)],
        strategy=spec,
        clock=clock,
        rng=random.Random(7),
    )

    held = [service.select(key=number) for number in range(50)]
    clock.advance(60.0)
    for selection in held[::2]:
        selection.release()
    for number in range(50):
        clock.advance(1.0)
        service.select(key=number).release(outcome=Outcome.failure("cut"))

    assert sum(backend.in_flight for backend in service.stats().backends) == 25
    for selection in held:
        selection.cancel()
