"""The balancer's accounts, with everything done in any order and by many threads."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import threading

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from lbtransport import HealthPolicy, NoBackendsAvailable, Outcome, Selection
from lbtransport._backends import BackendState
from lbtransport._candidates import is_usable
from tests.balancer.kit import SUCCESS
from tests.core_kit import (
    CUT,
    REFUSED,
    STATUS_500,
    TIMEOUT,
    URLS,
    A,
    B,
    C,
    advance,
    in_flight,
    make_service,
)

ANSWERS = [SUCCESS, SUCCESS, CUT, REFUSED, STATUS_500, TIMEOUT]


class Life(RuleBasedStateMachine):
    """A service in the hands of somebody who does everything in any order."""

    health = HealthPolicy()

    def __init__(self) -> None:
        super().__init__()
        self.service = make_service([A, B], strategy="random", health=self.health)
        self.held: list[Selection] = []

    def states(self) -> list[BackendState]:
        return list(self.service.core._roster.table)

    def ejected(self) -> int:
        return sum(not state.circuit.is_closed for state in self.states())

    def usable(self) -> set[str]:
        now = self.service.core.clock.monotonic()
        return {state.backend.url for state in self.states() if is_usable(state, now)}

    def take(self, data: st.DataObject) -> Selection:
        return self.held.pop(data.draw(st.integers(0, len(self.held) - 1)))

    def may_use(self, url: str, usable: set[str]) -> bool:
        """Tell whether a backend may be selected while these are usable."""
        return url in usable or not usable

    def finish(self, selection: Selection, outcome: Outcome) -> None:
        """Release, and see whom that ejected."""
        before = self.ejected()
        selection.release(outcome=outcome)
        if self.ejected() > before and not outcome.hard:
            part = self.health.max_ejected
            most = max(1, math.floor(len(self.states()) * part)) if part else 0
            assert self.ejected() <= most

    @rule()
    def select(self) -> None:
        usable = self.usable()
        try:
            selection = self.service.select()
        except NoBackendsAvailable:
            assert all(state.is_draining for state in self.states())
        else:
            assert self.may_use(selection.backend.url, usable)
            self.held.append(selection)

    @precondition(lambda self: self.held)
    @rule(data=st.data(), outcome=st.sampled_from([None, SUCCESS, STATUS_500]))
    def respond(self, data: st.DataObject, outcome: Outcome | None) -> None:
        selection = self.take(data)
        selection.responded(outcome=outcome)
        self.held.append(selection)

    @precondition(lambda self: self.held)
    @rule(
        data=st.data(),
        outcome=st.sampled_from([SUCCESS, CUT, REFUSED, STATUS_500, TIMEOUT]),
    )
    def release(self, data: st.DataObject, outcome: Outcome) -> None:
        self.finish(self.take(data), outcome)

    @rule(outcome=st.sampled_from([CUT, REFUSED]))
    def fail_in_a_row(self, outcome: Outcome) -> None:
        for _ in range(6):
            with contextlib.suppress(NoBackendsAvailable):
                selection = self.service.select()
                advance(self.service, 0.001)
                self.finish(selection, outcome)

    @precondition(lambda self: self.held)
    @rule(data=st.data(), seconds=st.floats(0, 5))
    def throttle(self, data: st.DataObject, seconds: float) -> None:
        until = self.service.core.clock.monotonic() + seconds
        self.finish(self.take(data), Outcome.throttled(until))

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        self.take(data).cancel()

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def drop(self, data: st.DataObject) -> None:
        self.take(data)

    @rule(url=st.sampled_from(URLS), outcomes=st.lists(st.sampled_from(ANSWERS)))
    def answer_often(self, url: str, outcomes: list[Outcome]) -> None:
        others = [one for one in self.service.backends if one.url != url]
        for outcome in outcomes:
            with contextlib.suppress(NoBackendsAvailable):
                selection = self.service.select(exclude=others)
                advance(self.service, 0.001)
                self.finish(selection, outcome)

    @rule(url=st.sampled_from(URLS))
    def add(self, url: str) -> None:
        self.service.add_backend(url)

    @precondition(lambda self: self.service.backends)
    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        self.service.remove_backend(data.draw(st.sampled_from(self.service.backends)))

    @rule(urls=st.lists(st.sampled_from(URLS), unique=True))
    def update(self, urls: list[str]) -> None:
        self.service.update_backends(urls)

    @precondition(lambda self: self.service.backends)
    @rule(data=st.data(), healthy=st.sampled_from([True, False, None]))
    def mark(self, data: st.DataObject, healthy: bool | None) -> None:
        backend = data.draw(st.sampled_from(self.service.backends))
        self.service.mark_healthy(backend, healthy)

    @precondition(lambda self: self.service.backends)
    @rule(data=st.data(), draining=st.booleans())
    def drain(self, data: st.DataObject, draining: bool) -> None:
        backend = data.draw(st.sampled_from(self.service.backends))
        self.service.drain(backend, draining)

    @rule(seconds=st.floats(0.001, 20))
    def pass_time(self, seconds: float) -> None:
        advance(self.service, seconds)

    @invariant()
    def somebody_can_be_selected(self) -> None:
        if any(not state.is_draining for state in self.states()):
            self.service.select().cancel()

    @invariant()
    def counts_are_no_less_than_nothing(self) -> None:
        now = self.service.core.clock.monotonic()
        for state in self.states():
            assert 0 <= state.misses <= state.total - state.in_flight
            assert 0.1 <= self.service.core._ramps.share(state, now) <= 1

    @invariant()
    def accounts_are_right(self) -> None:
        here = set(map(id, self.states()))
        expected = sum(id(selection.state) in here for selection in self.held)
        assert in_flight(self.service) == expected

    @invariant()
    def trial_is_on_only_while_somebody_holds_it(self) -> None:
        held = {(id(s.state), s.trial) for s in self.held if s.trial}
        in_flight(self.service)  # settles what was dropped
        for state in self.states():
            trial = state.circuit.trial
            assert not trial or (id(state), trial) in held
            assert not (trial and state.circuit.is_closed)

    def teardown(self) -> None:
        while self.held:
            self.held.pop().release()
        assert in_flight(self.service) == 0


class LifeWithAllRules(Life):
    """The same, with every rule that ejects at a threshold that is soon reached."""

    health = HealthPolicy(
        consecutive_failures=3,
        consecutive_local_failures=2,
        failure_ratio=0.3,
        failure_min_requests=4,
        success_rate_deviations=0.5,
        latency_factor=1.5,
        comparison_min_requests=2,
        comparison_min_backends=2,
        max_ejected=0.7,
    )


class LifeWithoutEjections(Life):
    """The same, with nobody to be ejected on soft evidence."""

    health = HealthPolicy(max_ejected=0, failure_min_requests=3)


class LifeInPanics(LifeWithAllRules):
    """The same, with panics that begin early."""

    health = dataclasses.replace(LifeWithAllRules.health, panic_threshold=0.6)

    def may_use(self, url: str, usable: set[str]) -> bool:
        here = sum(not state.is_draining for state in self.states())
        return url in usable or len(usable) < 0.6 * here


TestLife = Life.TestCase
TestLifeWithAllRules = LifeWithAllRules.TestCase
TestLifeWithoutEjections = LifeWithoutEjections.TestCase
TestLifeInPanics = LifeInPanics.TestCase
for case in (
    TestLife,
    TestLifeWithAllRules,
    TestLifeWithoutEjections,
    TestLifeInPanics,
):
    case.settings = settings(max_examples=40, stateful_step_count=40)


def test_one_lock_serves_many_threads() -> None:
    service = make_service([A, B, C])

    def work() -> None:
        for _ in range(200):
            with service.select():
                service.stats()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert in_flight(service) == 0
    assert sum(b.total for b in service.stats().backends) == 800
