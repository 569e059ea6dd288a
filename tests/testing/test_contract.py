"""The contract test for strategies: ours pass, and each way to break it is named."""

from __future__ import annotations

import copy
import math
import random
import threading
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from lbtransport.strategies import STRATEGIES, Candidates, Strategy
from lbtransport.strategies.random import RandomChoice
from lbtransport.testing import check_strategy
from lbtransport.testing.contract import CHECKS

BOUNDED = ["consistent_hash;load_factor=1.25", "rendezvous;load_factor=1"]
# Tables as large as the default's would take most of the time.
SPECS = {"maglev": "maglev;table_size=1009"}


@pytest.mark.parametrize("name", [*sorted(STRATEGIES), *BOUNDED])
def test_strategy_keeps_to_the_contract(name: str) -> None:
    check_strategy(SPECS.get(name, name))


class First:
    """The least that is a strategy; those below break it, each in its own way."""

    def members_changed(self, members: Sequence[Any]) -> Any:
        return None

    def choose(self, candidates: Candidates, **rest: Any) -> Any:
        return candidates[0]


def test_two_methods_are_enough() -> None:
    check_strategy(First)


class Numbers(First):
    def choose(self, candidates: Candidates, **rest: Any) -> Any:
        return 0


class Copies(First):
    def choose(self, candidates: Candidates, **rest: Any) -> Any:
        return copy.copy(candidates[0])


class Divides(First):
    def choose(self, candidates: Candidates, **rest: Any) -> Any:
        return min(candidates, key=lambda one: one.in_flight / one.backend.weight)


class ReadsTexts(First):
    def choose(self, candidates: Candidates, **rest: Any) -> Any:
        return candidates[len((rest["key"] or "").encode()) % len(candidates)]


class NeedsTwo(First):
    def choose(self, candidates: Candidates, **rest: Any) -> Any:
        return min(rest["rng"].sample(candidates, 2), key=lambda one: one.in_flight)


class Remembers(First):
    def members_changed(self, members: Sequence[Any]) -> None:
        self.members = members

    def choose(self, candidates: Candidates, **rest: Any) -> Any:
        return self.members[0]


class LooksUp(First):
    """Sums up what is known of each, and knows no one else."""

    def __init__(self) -> None:
        self.known: dict[str, int] = {}

    def members_changed(self, members: Sequence[Any]) -> None:
        self.known = {one.backend.url: 0 for one in members}

    def choose(self, candidates: Candidates, **rest: Any) -> Any:
        return min(candidates, key=lambda one: self.known[one.backend.url])


class CountsItself(First):
    def choose(self, candidates: Candidates, **rest: Any) -> Any:
        candidates[0].in_flight += 1
        return candidates[0]


class CountsInAHook(First):
    def responded(self, member: Any, **rest: Any) -> None:
        member.waiting += 1


class TakesChanceElsewhere(First):
    def choose(self, candidates: Candidates, **rest: Any) -> Any:
        return random.choice(candidates)


class Wipes(First):
    def members_changed(self, members: Sequence[Any]) -> None:
        for member in members:
            member.strategy_state = None

    def choose(self, candidates: Candidates, **rest: Any) -> Any:
        candidates[0].strategy_state = 7
        return candidates[0]


class ReturnsANumber(First):
    def members_changed(self, members: Sequence[Any]) -> Any:
        return len(members)


class BuildsInPlace(First):
    is_built = True

    def members_changed(self, members: Sequence[Any]) -> Iterator[None]:
        self.is_built = False
        yield
        self.is_built = True

    def choose(self, candidates: Candidates, **rest: Any) -> Any:
        if not self.is_built:
            raise RuntimeError("half a table")
        return candidates[0]


class HearsTooLittle(First):
    def released(self, member: Any) -> None:
        pass


class ExpectsHeaders(First):
    def selected(self, member: Any, **rest: Any) -> None:
        member.strategy_state = []

    def responded(self, member: Any, *, latency: float, **rest: Any) -> None:
        member.strategy_state.append(latency)

    def released(self, member: Any, **rest: Any) -> None:
        member.strategy_state.pop()


class Overflows(First):
    """Lets a sum grow that nothing bounds."""

    at: float | None = None

    def choose(self, candidates: Candidates, **rest: Any) -> Any:
        # Until it is told of requests it is not in use.
        if self.at is not None:
            math.exp(rest["now"] - self.at)
        return candidates[0]

    def selected(self, member: Any, *, now: float) -> None:
        self.at = now


class BelongsToAThread(First):
    def __init__(self) -> None:
        self.thread = threading.get_ident()

    def choose(self, candidates: Candidates, **rest: Any) -> Any:
        if self.thread != threading.get_ident():
            raise RuntimeError("another thread")
        return candidates[0]


class KeepsCounts(First):
    """Counts what is in flight a second time, in the slot."""

    def choose(self, candidates: Candidates, **rest: Any) -> Any:
        if any(one.strategy_state not in (None, one.in_flight) for one in candidates):
            raise RuntimeError("the counts differ")
        return candidates[0]

    def selected(self, member: Any, **rest: Any) -> None:
        member.strategy_state = (member.strategy_state or 0) + 1

    def released(self, member: Any, **rest: Any) -> None:
        member.strategy_state -= 1


class OrderMatters(First):
    is_keyed = True

    def choose(self, candidates: Candidates, **rest: Any) -> Any:
        return candidates[zlib.crc32(repr(rest["key"]).encode()) % len(candidates)]


class StaysAway(First):
    """A key stays with whom it met last."""

    is_keyed = True

    def __init__(self) -> None:
        self.met: dict[Any, Any] = {}

    def choose(self, candidates: Candidates, **rest: Any) -> Any:
        key = rest["key"]
        if self.met.get(key) not in candidates:
            self.met[key] = min(candidates, key=lambda one: one.backend.url)
        return self.met[key]


ONLY_ONE = First()

BROKEN: list[tuple[Callable[[], Any], str]] = [
    (object, "no strategy is made: "),
    (lambda: ONLY_ONE, "was made twice; give a class"),
    (Numbers, "it returned 0, which is none of the candidates"),
    (Copies, "it returned the member http://10.0.0.1, which is none of the candid"),
    (Divides, "weight=0 in_flight=0 waiting=0], key=None, now=0.0): it raised Zero"),
    (ReadsTexts, "key=b'\\xff', now=0.0): it raised AttributeError"),
    (NeedsTwo, "it raised ValueError: Sample larger"),
    (Remembers, "http://10.0.0.1, which is none of the candidates"),
    (LooksUp, "it raised KeyError"),
    (CountsItself, "it changed in_flight of http://10.0.0.1 from 0 to 1"),
    (CountsInAHook, "from 1 to 2; of a member only strategy_state is the strategy's"),
    (TakesChanceElsewhere, "two of them chose otherwise"),
    (Wipes, "wrote into the strategy_state of http://10.0.0.1"),
    (ReturnsANumber, "it returned 1; return None, or yield"),
    (BuildsInPlace, "it raised RuntimeError: half a table"),
    (HearsTooLittle, "it raised TypeError"),
    (ExpectsHeaders, "was_waiting=True): it raised IndexError"),
    (Overflows, "it raised OverflowError"),
    (BelongsToAThread, "it raised RuntimeError: another thread"),
    (KeepsCounts, "it raised RuntimeError: the counts differ"),
    (OrderMatters, "where chance and the order of the members are others"),
    (StaysAway, "did not return to http://10.0.0."),
]


def refusal_of(make: Callable[[], Strategy]) -> AssertionError:
    with pytest.raises(AssertionError) as refusal:
        check_strategy(make)
    return refusal.value


@pytest.mark.parametrize(("make", "complaint"), BROKEN)
def test_strategy_that_breaks_the_contract_is_told_how(
    make: Callable[[], Any], complaint: str
) -> None:
    assert complaint in str(refusal_of(make))


def test_each_promise_of_the_contract_can_be_broken() -> None:
    broken = {str(refusal_of(make)).partition(": ")[0] for make, _ in BROKEN[1:]}

    assert broken == set(CHECKS)


def test_error_of_the_strategy_is_the_cause() -> None:
    assert isinstance(refusal_of(Divides).__cause__, ZeroDivisionError)


def test_many_candidates_are_not_all_listed() -> None:
    class FailsForMany(RandomChoice):
        def choose(self, candidates: Candidates, **rest: Any) -> Any:
            if len(candidates) == 100:
                raise RuntimeError
            return super().choose(candidates, **rest)

    assert "; and 94 more]" in str(refusal_of(FailsForMany))
