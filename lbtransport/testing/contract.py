"""The contract of strategies as checks, for whoever writes one.

They need nothing but this package: no pytest, no network, no time.
What is special about a strategy (its shares, say) is for tests of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from random import Random
from typing import TypeAlias

from lbtransport._backends import BackendState
from lbtransport._errors import ConfigurationError
from lbtransport._types import Backend
from lbtransport.strategies import Candidates, Strategy, make_strategy
from lbtransport.testing._life import ENDINGS, KEYS, URLS, Life, serve
from lbtransport.testing._watched import Watched, expect, shown

Make: TypeAlias = Callable[[], Watched]

_LIVES = 8
_STEPS = 150
_THREADS = 4
_REQUESTS = 50


def check_strategy(make: str | Callable[[], Strategy]) -> None:
    """Check that a strategy keeps to what `Strategy` asks of it.

    The same result each time, in about a second.

    Args:
        make: A registered name, with options if it has some; or what makes a strategy,
            such as its class: it is called many times.

    Raises:
        AssertionError: If it does not; with what it was asked, what it did, and what
            was expected.
    """

    def watched() -> Watched:
        try:
            return Watched(make_strategy(make if isinstance(make, str) else make()))
        except ConfigurationError as error:
            raise AssertionError(f"no strategy is made: {error}") from error

    for promise, check in CHECKS.items():
        try:
            check(watched)
        except AssertionError as error:
            raise AssertionError(f"{promise}: {error}") from error.__cause__


def _is_made_anew(make: Make) -> None:
    one, other = make(), make()
    expect(
        one.strategy is not other.strategy,
        f"the same {one.strategy!r} was made twice; give a class, or a function that "
        f"makes a new one each time",
    )


def _chooses_a_candidate(make: Make) -> None:
    for weights in (
        *((1,), (0,), (1, 1), (0, 0, 0), (0, 1), (1, 0, 3), (0.1, 1000, 1)),
        *((1e-9, 1e9), (1,) * 100),
    ):
        for in_flight, now in product((0, 1, 10**6), (0.0, 1e9)):
            members = _members(weights, in_flight)
            strategy = make()
            _tell(strategy, members)
            for key in KEYS:
                _choose(strategy, members, key=key, now=now)


def _follows_the_candidates(make: Make) -> None:
    members = _members((1, 2, 0, 1, 3))
    strategy, rng = make(), Random(7)
    _tell(strategy, members)
    for size in (5, 1, 3, 2, 5, 1, 4):
        for key, _ in product((None, "user-17"), range(3)):
            some = Candidates(rng.sample(members, size), members)
            strategy.choose(some, key=key, now=1000.0, rng=rng)


def _knows_no_stranger(make: Make) -> None:
    known, strangers = _members((1, 1)), _members((1, 1, 1, 3))[2:]
    for told in (None, (), known):
        strategy = make()
        if told is not None:
            _tell(strategy, told)
        for key in KEYS:
            _choose(strategy, strangers, key=key)
            _choose(strategy, (*known, *strangers), key=key)


def _chooses_while_it_builds(make: Make) -> None:
    strategy, before, after = make(), _members((1, 1)), _members((1, 1, 2, 2))
    _tell(strategy, before)
    for _ in strategy.members_changed(after):
        for members in (before, after):
            _choose(strategy, members)
            _choose(strategy, members, key="user-17")


def _leaves_members_alone(make: Make) -> None:
    strategy, members = make(), _members((1, 1, 1))
    _tell(strategy, members)
    for key in KEYS:
        _choose(strategy, members, key=key)
    newcomer = BackendState(Backend(URLS[7]))
    before = [one.strategy_state for one in members]
    _tell(strategy, (*members, newcomer))
    for one, was in zip(members, before, strict=True):
        expect(
            one.strategy_state is was,
            f"members_changed() wrote into the strategy_state of {shown([one])}, "
            f"which held {was!r}; leave it, hooks may be writing there",
        )


def _survives_any_ending(make: Make) -> None:
    for is_removed, has_headers in product((False, True), repeat=2):
        for end in ENDINGS:
            service = serve(make(), (1, 1))
            selection = service.select("user-17")
            other = service.select("user-17")
            if has_headers:
                selection.responded()
            if is_removed:
                service.remove_backend(selection.backend)
                service.add_backend(selection.backend)
            end(selection)
            other.release()
            service.select("user-17").release()


def _survives_any_life(make: Make) -> None:
    for seed in range(_LIVES):
        Life(make(), seed).run(_STEPS)


def _repeats_itself(make: Make) -> None:
    first, second = make(), make()
    for strategy in (first, second):
        Life(strategy, seed=7).run(_STEPS)
    expect(
        first.chosen == second.chosen,
        "two of them chose otherwise, with the same members, calls and rng; draw from "
        "the rng that choose() is given, and from nothing else (no random, hash(), "
        "id() or time)",
    )


def _serves_threads(make: Make) -> None:
    service = serve(make(), (1, 1, 1, 1))

    def work(number: int) -> None:
        for request in range(_REQUESTS):
            with service.select(f"user-{request}" if number % 2 else None) as selection:
                selection.responded()

    with ThreadPoolExecutor(_THREADS) as threads:
        at_work = [threads.submit(work, number) for number in range(_THREADS)]
        for url in (URLS[4], URLS[5]):
            service.add_backend(url)
            service.remove_backend(url)
        for one in at_work:
            one.result()


def _survives_a_fork(make: Make) -> None:
    service = serve(make(), (1, 1, 1))
    of_the_parent = [service.select(key) for key in KEYS]
    service.core.reset_after_fork()
    own = [service.select(key) for key in KEYS]
    for one, other in zip(of_the_parent, own, strict=True):
        one.release()
        other.release()
    service.select("user-17").release()


def _keeps_keys(make: Make) -> None:
    if not make().is_keyed:
        return
    members = _members((1, 1, 2, 1, 3))
    keys = [key for key in KEYS if key is not None]
    one, other = make(), make()
    _tell(one, members)
    _tell(other, members[::-1])
    for key in keys:
        home = _choose(one, members, key=key, seed=1)
        found = _choose(other, members[::-1], key=key, seed=2)
        expect(
            found is home,
            f"key={key!r} went to {home.backend.url}, and in another process, where "
            f"chance and the order of the members are others, to {found.backend.url}",
        )
        left = [member for member in members if member is not home]
        without = Candidates(left, members)
        one.choose(without, key=key, now=1000.0, rng=Random(7))
        found = _choose(one, members, key=key)
        expect(
            found is home,
            f"key={key!r} did not return to {home.backend.url} when it was a candidate "
            f"again, but went to {found.backend.url}",
        )


CHECKS: dict[str, Callable[[Make], None]] = {
    "Each balancer gets a strategy of its own": _is_made_anew,
    "A candidate is chosen, whatever weights, loads and keys there are": (
        _chooses_a_candidate
    ),
    "The candidates shrink and grow at any time, down to one and back": (
        _follows_the_candidates
    ),
    "Candidates may be strangers to members_changed, which is told after the fact": (
        _knows_no_stranger
    ),
    "Choices go on between the steps of members_changed": _chooses_while_it_builds,
    "What is known of a backend survives an update": _leaves_members_alone,
    "A request may end in any way, also that of a backend which is long gone": (
        _survives_any_ending
    ),
    "Everything may happen, in any order": _survives_any_life,
    "The same seed gives the same choices": _repeats_itself,
    "Threads use one balancer while its list changes": _serves_threads,
    "A fork copies the members, and the parent's requests may still end": (
        _survives_a_fork
    ),
    "One that is keyed sends a key to one backend, from every process": _keeps_keys,
}
"""What is promised, and what checks it."""


def _members(weights: Sequence[float], in_flight: int = 0) -> tuple[BackendState, ...]:
    members = []
    for number, weight in enumerate(weights, 1):
        member = BackendState(Backend(f"http://10.0.0.{number}", weight=weight))
        member.in_flight = member.waiting = in_flight
        members.append(member)
    return tuple(members)


def _tell(strategy: Watched, members: Sequence[BackendState]) -> None:
    for _ in strategy.members_changed(tuple(members)):
        pass


def _choose(
    strategy: Watched,
    members: Sequence[BackendState],
    *,
    key: Hashable = None,
    now: float = 1000.0,
    seed: int = 7,
) -> BackendState:
    chosen = strategy.choose(Candidates(members), key=key, now=now, rng=Random(seed))
    assert isinstance(chosen, BackendState)
    return chosen
