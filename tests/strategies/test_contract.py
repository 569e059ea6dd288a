"""What every registered strategy keeps to, and what each of them promises beyond."""

from __future__ import annotations

import itertools
import math
import random
import threading
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbtransport import Backend, ConfigurationError, Outcome
from lbtransport._backends import BackendState
from lbtransport.strategies import STRATEGIES, Candidates, Strategy, make_strategy
from lbtransport.strategies.least_connections import LeastConnections
from lbtransport.strategies.power_of_two import PowerOfTwo
from lbtransport.strategies.round_robin import RoundRobin
from tests.helpers_core import REFUSED, advance, make_service

WEIGHTED = ["power_of_two", "random"]

every_strategy = pytest.mark.parametrize("name", sorted(STRATEGIES))
loads_and_weights = st.lists(
    st.tuples(st.integers(0, 5), st.sampled_from([0, 0.5, 1, 3, 1000])),
    min_size=1,
    max_size=8,
)


def make_members(*in_flight_and_weight: tuple[int, float]) -> list[BackendState]:
    members = []
    for number, (in_flight, weight) in enumerate(in_flight_and_weight, 1):
        state = BackendState(Backend(f"http://10.0.0.{number}", weight=weight))
        state.in_flight = state.waiting = in_flight
        members.append(state)
    return members


def ready(name: str, members: Sequence[BackendState]) -> Strategy:
    strategy = make_strategy(name)
    strategy.members_changed(tuple(members))
    return strategy


def choose(
    strategy: Strategy,
    candidates: Candidates,
    rng: random.Random,
    key: Hashable = None,
) -> Any:
    return strategy.choose(candidates, key=key, now=1000.0, rng=rng)


def shares(
    strategy: Strategy, candidates: Candidates, times: int, *, keyed: bool = False
) -> list[float]:
    rng = random.Random(7)
    chosen = Counter(
        id(choose(strategy, candidates, rng, number if keyed else None))
        for number in range(times)
    )
    return [chosen[id(member)] / times for member in candidates]


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
def test_only_candidate_is_always_chosen(name: str) -> None:
    members = make_members((9, 0), (0, 1))
    strategy = ready(name, members)
    only = Candidates(members[:1], members)

    chosen = {choose(strategy, only, random.Random(seed)) for seed in range(20)}

    assert chosen == {members[0]}


@every_strategy
def test_candidates_may_shrink_and_grow_at_any_time(name: str) -> None:
    members = make_members((0, 1), (0, 2), (0, 3), (0, 4), (0, 5))
    strategy, rng = ready(name, members), random.Random(7)

    for size in (5, 1, 3, 2, 5, 1, 4):
        candidates = Candidates(members[-size:], members)
        assert choose(strategy, candidates, rng) in candidates


@every_strategy
def test_members_may_come_and_go(name: str) -> None:
    members = make_members((0, 1), (0, 1), (0, 1))
    strategy, rng = ready(name, members[:1]), random.Random(7)

    for kept in (members, members[1:], members[:2]):
        strategy.members_changed(tuple(kept))
        candidates = Candidates(kept)
        assert choose(strategy, candidates, rng) in candidates


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


# Round robin


def test_round_robin_takes_turns() -> None:
    members = make_members(*[(0, 1)] * 3)
    candidates, strategy = Candidates(members), RoundRobin()

    chosen = [choose(strategy, candidates, random.Random(7)) for _ in range(6)]

    assert chosen == members * 2


def test_round_robin_goes_on_when_candidates_change() -> None:
    members = make_members(*[(0, 1)] * 4)
    strategy, rng = RoundRobin(), random.Random(7)

    chosen = Counter(
        choose(strategy, Candidates(members), rng) for _ in range(4) for _ in range(3)
    )

    assert set(chosen.values()) == {3}


def test_round_robin_begins_elsewhere_in_each_balancer() -> None:
    firsts = set()
    for seed in range(30):
        service = make_service(strategy="round_robin")
        core = service.core
        core.rng.seed(seed)
        service.update_backends(service.backends[:2])
        service.add_backend("http://10.0.0.3")
        firsts.add(service.select().backend.url)

    assert len(firsts) == 3


def test_round_robin_is_one_turn_for_all_threads() -> None:
    service = make_service(strategy="round_robin")

    def work() -> None:
        for _ in range(150):
            service.select().release()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [backend.total for backend in service.stats().backends] == [200] * 3


def test_new_thread_does_not_begin_the_turn_anew() -> None:
    service = make_service(strategy="round_robin")

    for _ in range(6):
        thread = threading.Thread(target=lambda: service.select().release())
        thread.start()
        thread.join()

    assert [backend.total for backend in service.stats().backends] == [2] * 3


# Least connections


def test_least_connections_takes_the_least_loaded() -> None:
    members = make_members((2, 1), (1, 1), (3, 1))

    found = shares(LeastConnections(), Candidates(members), 20)

    assert found == [0, 1, 0]


def test_least_connections_breaks_ties_at_random() -> None:
    members = make_members((1, 1), (0, 1), (0, 1), (0, 1))

    found = shares(LeastConnections(), Candidates(members), 3000)

    assert found[0] == 0
    assert all(abs(share - 1 / 3) < 0.05 for share in found[1:])


# Power of two choices


class Recorder(Candidates):
    """Notes which candidates are looked at."""

    looked_at: set[int]

    def __getitem__(self, index: Any) -> Any:
        self.looked_at.add(index)
        return super().__getitem__(index)


@given(
    weights=st.lists(st.sampled_from([1e-6, 1, 1e6]), min_size=2, max_size=6),
    seed=st.integers(),
)
def test_power_of_two_compares_two_distinct_candidates(
    weights: list[float], seed: int
) -> None:
    candidates = Recorder(make_members(*[(1, weight) for weight in weights]))
    candidates.looked_at = set()

    choose(PowerOfTwo(), candidates, random.Random(seed))

    assert len(candidates.looked_at) == 2


@given(loads=st.lists(st.integers(1, 3), min_size=2, max_size=2), seed=st.integers())
def test_power_of_two_of_two_takes_the_less_loaded(loads: list[int], seed: int) -> None:
    members = make_members(*[(load, 1) for load in loads])

    chosen = choose(PowerOfTwo(), Candidates(members), random.Random(seed))

    assert chosen.in_flight == min(loads)


@pytest.mark.parametrize(
    ("heavy", "light"), [(2, 1), (4, 1), (8, 2)], ids=["2:1", "4:1", "8:2"]
)
def test_power_of_two_compares_load_per_weight(heavy: int, light: int) -> None:
    members = make_members((heavy, 5), (light, 1))

    chosen = {
        choose(PowerOfTwo(), Candidates(members), random.Random(seed))
        for seed in range(50)
    }

    assert chosen == {members[0]}


def test_power_of_two_leaves_the_first_drawn_a_tie() -> None:
    members = make_members((1, 1), (1, 1), (1, 1))

    found = shares(PowerOfTwo(), Candidates(members), 3000)

    assert all(abs(share - 1 / 3) < 0.05 for share in found)


def test_power_of_two_never_takes_the_busiest() -> None:
    members = make_members((3, 1), (1, 1), (2, 1), (1, 1))

    found = shares(PowerOfTwo(), Candidates(members), 500)

    assert found[0] == 0


def test_power_of_two_compares_spares_of_weight_0_too() -> None:
    members = make_members((5, 0), (1, 0))

    found = shares(PowerOfTwo(), Candidates(members), 100)

    assert found == [0, 1]


# The registry


@pytest.mark.parametrize(
    ("spec", "kind"),
    [
        ("round_robin", RoundRobin),
        ("Round-Robin", RoundRobin),
        (" round_robin ; ", RoundRobin),
        ("p2c", PowerOfTwo),
        ("power-of-two", PowerOfTwo),
        ("least_connections", LeastConnections),
    ],
)
def test_name_makes_a_strategy(spec: str, kind: type) -> None:
    assert type(make_strategy(spec)) is kind


def test_name_makes_a_new_strategy_each_time() -> None:
    assert make_strategy("random") is not make_strategy("random")


def test_instance_is_taken_as_it_is() -> None:
    strategy = RoundRobin()

    assert make_strategy(strategy) is strategy


def test_unknown_name_lists_the_choices() -> None:
    with pytest.raises(ConfigurationError) as refusal:
        make_strategy("round-robbin")

    assert "'round-robbin' is no strategy; choose one of: " in str(refusal.value)
    assert all(name in str(refusal.value) for name in [*STRATEGIES, "p2c"])


@pytest.mark.parametrize("thing", [None, 7, object(), RoundRobin])
def test_what_cannot_choose_is_refused(thing: Any) -> None:
    with pytest.raises(ConfigurationError, match="is no strategy; give a registered"):
        make_strategy(thing)


class Tuned(RoundRobin):
    """A strategy with options of three types."""

    def __init__(self, nodes: int = 7, load: float = 1.5, mode: str = "fast") -> None:
        super().__init__()
        self.options = (nodes, load, mode)


@pytest.fixture
def tuned(monkeypatch: pytest.MonkeyPatch) -> None:
    tuned: Callable[..., Strategy] = Tuned
    monkeypatch.setitem(STRATEGIES, "tuned", tuned)


@pytest.mark.usefixtures("tuned")
@pytest.mark.parametrize(
    ("spec", "options"),
    [
        ("tuned", (7, 1.5, "fast")),
        ("tuned;nodes=3", (3, 1.5, "fast")),
        ("tuned; load = 2 ;mode=slow;", (7, 2.0, "slow")),
    ],
)
def test_options_are_typed_as_their_defaults(
    spec: str, options: tuple[int, float, str]
) -> None:
    strategy = make_strategy(spec)

    assert isinstance(strategy, Tuned)
    assert strategy.options == options


@pytest.mark.usefixtures("tuned")
@pytest.mark.parametrize(
    ("spec", "complaint"),
    [
        ("tuned;knots=3", "has no option 'knots'; its options: nodes, load, mode"),
        ("tuned;nodes=many", "'nodes=many' is not of the form nodes=<int>"),
        ("tuned;nodes", "'nodes' is not of the form nodes=<int>"),
        ("round_robin;nodes=3", "has no option 'nodes'; its options: none"),
    ],
)
def test_bad_option_is_refused(spec: str, complaint: str) -> None:
    with pytest.raises(ConfigurationError) as refusal:
        make_strategy(spec)

    assert complaint in str(refusal.value)


# Candidates


def test_candidates_know_their_members_by_identity() -> None:
    one, twin = make_members((0, 1))[0], make_members((0, 1))[0]
    candidates = Candidates([one])

    assert one in candidates
    assert twin not in candidates


def test_candidates_are_all_members_unless_told_otherwise() -> None:
    members = make_members((0, 1), (0, 1))

    assert list(Candidates(members).members) == members
    assert list(Candidates(members[:1], members).members) == members


def test_no_two_sets_of_candidates_share_a_version() -> None:
    members = make_members((0, 1))

    versions = [Candidates(members).version for _ in range(5)]

    assert all(one < other for one, other in itertools.pairwise(versions))


# What the balancer tells a strategy


class Listening(RoundRobin):
    """A strategy with every optional method, as the contract writes them."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[tuple[Any, ...]] = []

    def selected(self, member: Any, *, now: float) -> None:
        self.heard.append(("selected", member.in_flight, member.waiting, now))

    def responded(
        self, member: Any, *, started_at: float, now: float, latency: float
    ) -> None:
        self.heard.append(
            ("responded", member.in_flight, member.waiting, started_at, now, latency)
        )

    def released(
        self,
        member: Any,
        *,
        started_at: float,
        now: float,
        outcome: Any,
        was_waiting: bool,
    ) -> None:
        self.heard.append(
            ("released", member.in_flight, started_at, now, outcome, was_waiting)
        )


def test_strategy_is_told_after_the_counters_were_brought_up_to_date() -> None:
    strategy = Listening()
    service = make_service(["http://10.0.0.1"], strategy=strategy)

    selection = service.select()
    advance(service, 1.0)
    selection.responded()
    advance(service, 2.0)
    selection.release()

    assert strategy.heard == [
        ("selected", 1, 1, 1000.0),
        ("responded", 1, 0, 1000.0, 1001.0, 1.0),
        ("released", 0, 1000.0, 1003.0, Outcome.success(), False),
    ]


def test_strategy_is_told_the_latency_that_the_caller_measured() -> None:
    strategy = Listening()
    service = make_service(["http://10.0.0.1"], strategy=strategy)

    service.select().release(latency=0.25)

    assert ("responded", 0, 0, 1000.0, 1000.0, 0.25) in strategy.heard


def test_strategy_is_told_of_what_failed_before_its_headers() -> None:
    strategy = Listening()
    service = make_service(["http://10.0.0.1"], strategy=strategy)

    service.select().release(outcome=REFUSED)

    assert strategy.heard[1:] == [("released", 0, 1000.0, 1000.0, REFUSED, True)]


class Slotted(RoundRobin):
    """A strategy that counts its choices in the member's own slot."""

    def choose(self, candidates: Candidates, **rest: Any) -> Any:
        member = super().choose(candidates, **rest)
        member.strategy_state = (member.strategy_state or 0) + 1
        return member


def test_strategys_slot_survives_an_update_of_the_list() -> None:
    service = make_service(["http://10.0.0.1"], strategy=Slotted())
    service.select().release()

    service.update_backends([Backend("http://10.0.0.1", weight=3), "http://10.0.0.2"])

    slots = {
        member.backend.url: member.strategy_state
        for member in service.core._roster.members
    }
    assert slots == {"http://10.0.0.1": 1, "http://10.0.0.2": None}
