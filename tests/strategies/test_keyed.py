"""What all strategies that hash keep to: keys stay, and few move."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Hashable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbtransport import Backend, ConfigurationError
from lbtransport.strategies import STRATEGIES, Candidates, Member, make_strategy
from lbtransport.strategies._keyed import Keyed
from lbtransport.strategies._keys import hash_key
from lbtransport.strategies._rank import highest
from tests.core_kit import make_service
from tests.strategies.hashing_kit import (
    KEYS,
    SMALL,
    find,
    homes,
    members_of,
    ready,
    surprise,
)
from tests.strategies.kit import choose, tell

each = pytest.mark.parametrize("spec", SMALL)
exact = pytest.mark.parametrize("spec", ["consistent_hash", "rendezvous"])
weights_of_some = st.lists(st.sampled_from([0.5, 1, 1, 1, 3]), min_size=2, max_size=9)


@each
def test_key_stays_with_its_backend(spec: str) -> None:
    members = members_of([1, 2, 3])
    strategy = ready(spec, members)

    for key in KEYS:
        assert len({id(find(strategy, members, key)) for _ in range(3)}) == 1


@each
@given(weights=weights_of_some, seed=st.integers())
def test_order_of_the_members_does_not_matter(
    spec: str, weights: list[float], seed: int
) -> None:
    members = members_of(weights)
    shuffled = random.Random(seed).sample(members, len(members))
    one, other = ready(spec, members), ready(spec, shuffled)

    for key in KEYS:
        assert find(one, members, key) is find(other, shuffled, key)


@exact
@given(weights=weights_of_some, data=st.data())
def test_removed_backend_moves_its_own_keys_and_no_others(
    spec: str, weights: list[float], data: st.DataObject
) -> None:
    members = members_of(weights)
    removed = data.draw(st.sampled_from(members))
    left = [member for member in members if member is not removed]
    strategy = ready(spec, members)
    before = [find(strategy, members, key) for key in range(100)]

    tell(strategy, left)

    after = [find(strategy, left, key) for key in range(100)]
    for was, now in zip(before, after, strict=True):
        assert was is now or was is removed


@exact
def test_heavier_backend_takes_keys_from_all_and_gives_none(spec: str) -> None:
    members = members_of([1] * 4)
    strategy = ready(spec, members)
    before = [find(strategy, members, key) for key in range(1000)]
    members[0].backend = Backend(members[0].backend.url, weight=2)

    tell(strategy, members)

    after = [find(strategy, members, key) for key in range(1000)]
    moved = [
        (was, now) for was, now in zip(before, after, strict=True) if was is not now
    ]
    assert {id(now) for _, now in moved} == {id(members[0])}
    assert len({id(was) for was, _ in moved}) == 3


@each
@given(weights=weights_of_some, kept=st.integers(1, 511))
def test_key_whose_backend_is_no_candidate_has_one_stand_in(
    spec: str, weights: list[float], kept: int
) -> None:
    members = members_of(weights)
    some = [one for bit, one in enumerate(members) if kept >> bit & 1] or members[:1]
    strategy = ready(spec, members)
    rng = random.Random(7)

    for key in KEYS:
        home = find(strategy, members, key)
        chosen = choose(strategy, Candidates(some, members), rng, key)
        assert chosen in some
        assert chosen is home or home not in some
        assert choose(strategy, Candidates(some, members), rng, key) is chosen


@exact
def test_stand_in_keeps_the_key_when_the_backend_is_removed(spec: str) -> None:
    members = members_of([1] * 6)
    strategy = ready(spec, members)
    rng = random.Random(7)
    for key in range(50):
        left = [one for one in members if one is not find(strategy, members, key)]
        stand_in = choose(strategy, Candidates(left, members), rng, key)

        assert find(ready(spec, left), left, key) is stand_in


@each
def test_keys_of_a_lost_backend_spread_over_all_others(spec: str) -> None:
    members = members_of([1] * 5)
    left = Candidates(members[1:], members)
    strategy = ready(spec, members)
    lost = [key for key in range(5000) if find(strategy, members, key) is members[0]]

    found = Counter(id(choose(strategy, left, random.Random(7), key)) for key in lost)

    assert all(found[id(one)] > len(lost) * 0.15 for one in left)


@each
def test_one_candidate_of_many_is_found(spec: str) -> None:
    members = members_of([1] * 200)
    strategy = ready(spec, members)
    for only in members[::50]:
        for key in KEYS:
            candidates = Candidates([only], members)
            assert choose(strategy, candidates, random.Random(7), key) is only


@each
def test_few_candidates_of_many_share_the_keys(spec: str) -> None:
    members = members_of([1] * 1000)
    few = Candidates(members[:4], members)
    strategy = ready(spec, members)

    found = Counter(
        id(choose(strategy, few, random.Random(7), key)) for key in range(1000)
    )

    assert surprise(found, {id(one): 250 for one in few}) < 4


@each
def test_candidates_unknown_to_the_table_share_the_keys_of_nobody_else(
    spec: str,
) -> None:
    known, strangers = members_of([1] * 6)[:3], members_of([1] * 6)[3:]
    strategy = ready(spec, known)

    found = Counter(id(find(strategy, strangers, key)) for key in range(3000))

    assert surprise(found, {id(one): 1000 for one in strangers}) < 4


@each
def test_strategy_that_was_told_of_nobody_chooses_all_the_same(spec: str) -> None:
    members = members_of([1, 2])

    assert find(make_strategy(spec), members, "user-1") in members


@each
@pytest.mark.parametrize("weights", [[0, 0, 0], [0]])
def test_weights_of_0_are_equal_where_all_have_them(
    spec: str, weights: list[float]
) -> None:
    members = members_of(weights)
    strategy = ready(spec, members)

    found = Counter(id(find(strategy, members, key)) for key in range(999))

    share = 999 / len(members)
    assert all(abs(found[id(one)] - share) < 100 for one in members)


@each
def test_backend_of_weight_0_has_no_keys_beside_others(spec: str) -> None:
    members = members_of([1, 0, 2, 0])
    strategy = ready(spec, members)

    found = {id(find(strategy, members, key)) for key in range(500)}

    assert found == {id(members[0]), id(members[2])}


@each
def test_spare_of_weight_0_is_found_when_all_others_are_gone(spec: str) -> None:
    members = members_of([1, 0, 2, 0])
    spares = Candidates([members[1], members[3]], members)
    strategy = ready(spec, members)

    found = {id(choose(strategy, spares, random.Random(7), key)) for key in range(50)}

    assert found == {id(members[1]), id(members[3])}


@pytest.mark.parametrize("spec", ["rendezvous", "maglev"])
@pytest.mark.parametrize(
    "weights", [[1, 2, 3, 4], [0.1, 0.1, 10], [100, 300], [1, 1, 1], [1e-9, 1, 1]]
)
def test_shares_of_keys_are_those_of_the_weights(
    spec: str, weights: list[float]
) -> None:
    members = members_of(weights)
    strategy = ready(spec, members)
    keys = 20_000

    found = Counter(id(find(strategy, members, key)) for key in range(keys))

    wanted = {
        id(member): keys * weight / sum(weights)
        for member, weight in zip(members, weights, strict=True)
        if weight > 1e-6
    }
    assert surprise(found, wanted) < 4


# -- what is built ----------------------------------------------------------------


@each
def test_new_states_of_the_same_backends_need_no_new_placement(spec: str) -> None:
    members, copies = members_of([1, 2]), members_of([1, 2])
    strategy = ready(spec, members)
    assert isinstance(strategy, Keyed)
    placement = strategy._table.placement

    tell(strategy, copies)

    assert strategy._table.placement is placement
    assert find(strategy, copies, "user-1") in copies


@each
def test_choices_go_on_with_the_old_placement_until_the_new_one_is_whole(
    spec: str,
) -> None:
    members = members_of([1] * 30)
    strategy = ready(spec, members[:20])
    before = [find(strategy, members, key) for key in range(50)]
    build = strategy.members_changed(tuple(members))
    assert build is not None

    for _ in build:
        meanwhile = [find(strategy, members, key) for key in range(50)]
        assert meanwhile == before

    assert [find(strategy, members, key) for key in range(50)] != before


@each
@pytest.mark.parametrize("first", [1, True, 1.0])
def test_keys_that_are_equal_may_belong_to_different_backends(
    spec: str, first: Hashable
) -> None:
    members = members_of([1] * 50)
    strategy = ready(spec, members)
    assert isinstance(strategy, Keyed)
    placement = strategy._table.placement
    assert placement is not None
    find(strategy, members, first)

    for key in (1, True, 1.0, "1", (1,), (1.0,)):
        chosen = find(strategy, members, key)
        assert chosen.backend.url == placement.home(hash_key(key))


def test_memory_of_keys_is_limited() -> None:
    members = members_of([1] * 5)
    strategy = ready("maglev;table_size=1009", members)
    assert isinstance(strategy, Keyed)

    for key in range(10_000):
        find(strategy, members, key)
    kept = len(strategy._table.memo)
    find(strategy, members, "a whole prompt" * 1000)

    assert 0 < kept <= 4096
    assert len(strategy._table.memo) == kept


# -- without a key ----------------------------------------------------------------


@each
def test_choice_without_a_key_is_drawn_by_weight_and_counted(spec: str) -> None:
    members = members_of([1, 3])
    strategy = ready(spec, members)
    rng = random.Random(7)
    candidates = Candidates(members)
    assert isinstance(strategy, Keyed)

    found = [choose(strategy, candidates, rng) for _ in range(2000)]

    assert abs(found.count(members[1]) / 2000 - 0.75) < 0.04
    assert strategy.unkeyed == 2000
    find(strategy, members, "user-1")
    assert strategy.unkeyed == 2000


# -- through the balancer ---------------------------------------------------------


@each
def test_key_of_a_request_decides_its_backend_and_its_retrys(spec: str) -> None:
    urls = [f"http://10.0.0.{number}" for number in range(1, 6)]
    service = make_service(urls, strategy=spec)

    first = {service.select(key="user-1").backend for _ in range(5)}
    second = {service.select(key="user-1", exclude=first).backend for _ in range(5)}

    assert len(first) == len(second) == 1
    assert first != second


def test_key_that_cannot_be_hashed_leaves_nothing_in_flight() -> None:
    service = make_service(strategy="rendezvous")

    with pytest.raises(ConfigurationError, match="its repr holds an address"):
        service.select(key=object())

    assert all(one.in_flight == 0 for one in service.stats().backends)


# -- options ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "spec",
    [
        "consistent_hash;virtual_nodes=200;load_factor=1.25",
        "rendezvous;load_factor=2",
        "maglev;table_size=251;load_factor=1",
        "consistent-hash;load_factor=0",
    ],
)
def test_options_are_taken_by_name(spec: str) -> None:
    members = members_of([1, 1])

    assert find(ready(spec, members), members, "user-1") in members


@pytest.mark.parametrize(
    ("spec", "complaint"),
    [
        ("rendezvous;load_factor=0.9", "load_factor=0.9: give 0 or a number of at"),
        ("maglev;load_factor=nan", "load_factor=nan: give 0 or a number of at least 1"),
        ("maglev;table_size=1000", "table_size=1000: give a prime; the next is 1009"),
        ("maglev;table_size=2", "table_size=2: give an integer of at least 3 and at"),
        ("consistent_hash;virtual_nodes=0", "virtual_nodes=0: give an integer of at"),
        ("rendezvous;virtual_nodes=3", "'rendezvous' has no option 'virtual_nodes'"),
    ],
)
def test_bad_option_is_refused(spec: str, complaint: str) -> None:
    with pytest.raises(ConfigurationError) as refusal:
        make_strategy(spec)

    assert complaint in str(refusal.value)


def test_only_bounded_load_is_told_of_each_request() -> None:
    for name in ("consistent_hash", "maglev", "rendezvous"):
        assert not hasattr(make_strategy(name), "selected")
        assert hasattr(make_strategy(f"{name};load_factor=1.25"), "selected")
        assert name in STRATEGIES


# -- ranks ------------------------------------------------------------------------


@given(
    weights=st.lists(st.sampled_from([0, 0.5, 1, 1, 3]), min_size=1, max_size=9),
    key=st.integers(),
)
def test_table_of_ranks_agrees_with_asking_each_backend(
    weights: list[float], key: int
) -> None:
    members = members_of(weights)
    left: list[Member] = list(members)
    strategy = ready("rendezvous", members)

    while left:
        candidates = Candidates(left, members)
        chosen = choose(strategy, candidates, random.Random(7), key)
        assert chosen is highest(left, hash_key(key))
        left.remove(chosen)


def test_homes_differ_between_the_strategies() -> None:
    assert len({tuple(homes(spec, [1] * 5)) for spec in SMALL}) == 3
