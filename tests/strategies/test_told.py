"""What the balancer tells a strategy."""

from __future__ import annotations

from typing import Any

from lbtransport import Backend, Outcome
from lbtransport.strategies import Candidates
from lbtransport.strategies.round_robin import RoundRobin
from tests.core_kit import REFUSED, advance, make_service


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
