"""What the balancer tells a strategy."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from lbtransport import Backend, HealthPolicy, Outcome
from lbtransport.strategies import Candidates
from lbtransport.strategies.round_robin import RoundRobin
from tests.core_kit import (
    REFUSED,
    STATUS_500,
    A,
    B,
    advance,
    eject,
    make_service,
    stats_of,
)


class Listening(RoundRobin):
    """A strategy with every optional method, as the contract writes them."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[tuple[Any, ...]] = []

    def selected(self, member: Any, *, now: float) -> None:
        self.heard.append(("selected", member.in_flight, member.waiting, now))

    def responded(
        self,
        member: Any,
        *,
        started_at: float,
        now: float,
        latency: float,
        outcome: Any,
    ) -> None:
        counters = (member.in_flight, member.waiting)
        self.heard.append(("responded", *counters, started_at, now, latency, outcome))

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
        ("responded", 1, 0, 1000.0, 1001.0, 1.0, Outcome.success()),
        ("released", 0, 1000.0, 1003.0, Outcome.success(), False),
    ]


def test_strategy_is_told_the_latency_that_the_caller_measured() -> None:
    strategy = Listening()
    service = make_service(["http://10.0.0.1"], strategy=strategy)

    service.select().release(latency=0.25)

    assert strategy.heard[1:] == [
        ("responded", 0, 0, 1000.0, 1000.0, 0.25, Outcome.success()),
        ("released", 0, 1000.0, 1000.0, Outcome.success(), False),
    ]


def test_strategy_is_told_of_what_failed_before_its_headers() -> None:
    strategy = Listening()
    service = make_service(["http://10.0.0.1"], strategy=strategy)

    service.select().release(outcome=REFUSED)

    assert strategy.heard[1:] == [("released", 0, 1000.0, 1000.0, REFUSED, True)]


def test_strategy_is_told_of_an_answer_that_is_no_measure_of_speed() -> None:
    strategy = Listening()
    service = make_service(["http://10.0.0.1"], strategy=strategy)

    service.select().release(outcome=STATUS_500)

    assert strategy.heard[1:] == [
        ("responded", 0, 0, 1000.0, 1000.0, 0.0, STATUS_500),
        ("released", 0, 1000.0, 1000.0, STATUS_500, False),
    ]


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


class Building(RoundRobin):
    """A strategy whose tables take long to build."""

    def __init__(self) -> None:
        super().__init__()
        self.steps = 0
        self.service: Any = None
        self.chosen_meanwhile: list[str] = []

    def members_changed(self, members: Sequence[Any]) -> Iterator[None]:  # type: ignore[override]
        for _ in range(3):
            yield
            self.steps += 1
            if self.service is not None:
                with self.service.select() as selection:
                    self.chosen_meanwhile.append(selection.backend.url)


def test_long_build_is_run_to_its_end_and_selecting_goes_on_meanwhile() -> None:
    strategy = Building()
    service = make_service([A], strategy=strategy)
    strategy.service = service

    service.add_backend(B)

    assert strategy.steps == 6
    assert set(strategy.chosen_meanwhile) == {A, B}


class Slow(RoundRobin):
    """A strategy whose first build lasts until another one begins, or might have."""

    def __init__(self) -> None:
        super().__init__()
        self.building = threading.Lock()
        self.is_met = threading.Event()

    def members_changed(self, members: Sequence[Any]) -> None:
        if not self.building.acquire(blocking=False):
            self.is_met.set()
            return
        self.is_met.wait(0.05)
        self.building.release()


def test_changes_are_told_one_at_a_time() -> None:
    strategy = Slow()
    service = make_service([], strategy=strategy)

    with ThreadPoolExecutor(2) as threads:
        list(threads.map(service.add_backend, [A, B]))

    assert not strategy.is_met.is_set()
    assert {backend.url for backend in service.backends} == {A, B}


class Hearing(RoundRobin):
    """Hears who is back."""

    def __init__(self) -> None:
        super().__init__()
        self.back: list[str] = []

    def returned(self, member: Any) -> None:
        self.back.append(member.backend.url)


def test_strategy_is_told_who_is_back_after_an_ejection() -> None:
    strategy = Hearing()
    service = make_service([A, B], strategy=strategy)
    eject(service, A)
    advance(service, 2.0)

    for _ in range(20):
        service.select().release()

    assert strategy.back == [A]


@pytest.mark.parametrize("name", ["adaptive", "peak_ewma", "least_response_time"])
def test_one_that_is_back_is_not_avoided_for_what_it_did(name: str) -> None:
    service = make_service([A, B], strategy=name, health=HealthPolicy(slow_start=0))
    for _ in range(20):
        with service.select() as selection:
            advance(service, 0.01)
            selection.responded()
    eject(service, A)
    advance(service, 2.0)
    before = stats_of(service, A).total

    for _ in range(100):
        with service.select() as selection:
            advance(service, 0.01)
            selection.responded()

    assert stats_of(service, A).total - before > 25
