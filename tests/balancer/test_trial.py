"""The one request that a half-open backend gets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from lbtransport import Outcome, Selection, events
from lbtransport._types import Fault
from lbtransport._types.outcome import FAULTS
from lbtransport.strategies import Candidates, Member
from lbtransport.strategies.round_robin import RoundRobin
from lbtransport.testing import ManualClock
from tests.balancer.kit import SUCCESS, chosen, kinds, wait_for_return
from tests.core_kit import (
    CUT,
    REFUSED,
    A,
    B,
    C,
    advance,
    eject,
    make_service,
    select_only,
    states_of,
    stats_of,
)

CUT_BODY = FAULTS[Fault.BODY]


def test_half_open_backend_gets_exactly_one_request() -> None:
    service = make_service([A, B])
    eject(service, A)
    wait_for_return(service, A)

    selections = [service.select() for _ in range(50)]

    assert [s.backend.url for s in selections].count(A) == 1


@pytest.mark.parametrize(
    "end",
    [
        Selection.cancel,
        lambda s: s.release(outcome=Outcome.neutral()),
        lambda s: s.release(error=ValueError()),
        lambda s: s.responded(outcome=Outcome.neutral()),
    ],
    ids=["cancelled", "neutral", "local error", "neutral headers"],
)
def test_trial_without_a_verdict_is_repeated(end: Callable[[Selection], Any]) -> None:
    service = make_service([A, B])
    eject(service, A)
    wait_for_return(service, A)
    trial = select_only(service, A)

    end(trial)

    assert states_of(service)[A] == "half_open"
    select_only(service, A).release()
    assert states_of(service)[A] == "closed"


def test_dropped_trial_is_repeated() -> None:
    service = make_service([A, B])
    eject(service, A)
    wait_for_return(service, A)

    select_only(service, A)  # dropped at once

    assert states_of(service)[A] == "half_open"
    select_only(service, A).release()
    assert states_of(service)[A] == "closed"


def test_trial_that_is_on_keeps_all_others_away() -> None:
    service = make_service([A, B])
    eject(service, A)
    wait_for_return(service, A)
    trial = select_only(service, A)

    advance(service, 1000)

    assert chosen(service) == {B}
    trial.release()
    assert chosen(service) == {A, B}


def test_trial_is_judged_by_its_headers() -> None:
    service = make_service([A, B], strategy="random")
    eject(service, A)
    wait_for_return(service, A)
    trial = select_only(service, A)

    trial.responded(outcome=SUCCESS)

    assert chosen(service) == {A, B}
    trial.release()


def is_held(lock: Any) -> bool:
    """Tell whether this thread holds a lock that its owner may take again."""
    held: bool = lock._is_owned()
    return held


def test_clock_is_read_under_the_lock_so_that_no_thread_lives_in_the_past() -> None:
    read_under_lock = list[bool]()

    class Watched(ManualClock):
        is_watched = False

        def monotonic(self) -> float:
            if self.is_watched:
                read_under_lock.append(is_held(service.core._lock))
            return super().monotonic()

    clock = Watched()
    service = make_service([A, B], clock=clock)
    clock.is_watched = True
    selection = service.select()
    selection.responded()
    selection.release()

    assert read_under_lock == [True] * 3


@pytest.mark.parametrize("outcome", [CUT, SUCCESS, Outcome.neutral()])
def test_trial_that_was_overtaken_says_nothing_of_the_next_one(
    outcome: Outcome,
) -> None:
    service = make_service([A, B])
    eject(service, A)
    wait_for_return(service, A)
    overtaken = select_only(service, A)
    service.drain(B)
    advance(service, 0.001)
    service.select().release(outcome=REFUSED)  # in a panic
    wait_for_return(service, A)
    trial = service.select()

    overtaken.release(outcome=outcome)

    assert trial.trial == service.core._roster.table.find(A).circuit.trial != 0
    assert stats_of(service, A).state == "half_open"
    trial.release()


def test_refused_trial_ejects_again_for_longer() -> None:
    service = make_service([A, B])
    heard = kinds(service)
    eject(service, A)
    wait_for_return(service, A)

    select_only(service, A).release(outcome=REFUSED)

    assert heard == [
        events.BackendEjected,
        events.BackendOnTrial,
        events.BackendEjected,
    ]
    assert 1.6 <= (stats_of(service, A).returns_in or 0) <= 2.4


def return_by_headers(service: Any) -> Selection:
    """Let the trial of A be answered, its body still unread."""
    eject(service, A)
    wait_for_return(service, A)
    trial = select_only(service, A)
    advance(service, 0.001)
    trial.responded(outcome=SUCCESS)
    assert states_of(service)[A] == "closed"
    return trial


def test_trial_whose_body_is_cut_has_failed() -> None:
    service = make_service([A, B])
    trial = return_by_headers(service)

    trial.release(outcome=CUT_BODY)

    assert states_of(service)[A] == "ejected"


def test_body_of_the_trial_that_is_cut_after_a_while_is_one_failure() -> None:
    service = make_service([A, B])
    trial = return_by_headers(service)

    advance(service, 10.0)
    trial.release(outcome=CUT_BODY)

    assert states_of(service)[A] == "closed"


def test_body_of_another_than_the_trial_is_one_failure() -> None:
    service = make_service([A, B])
    trial = return_by_headers(service)
    other = select_only(service, A)
    advance(service, 0.001)
    other.responded(outcome=SUCCESS)

    other.release(outcome=CUT_BODY)

    assert states_of(service)[A] == "closed"
    trial.release()


def test_cut_body_of_the_trial_does_not_eject_the_last_one() -> None:
    service = make_service([A, B])
    trial = return_by_headers(service)
    service.drain(B)

    trial.release(outcome=CUT_BODY)

    assert states_of(service)[A] == "closed"


class Shunning(RoundRobin):
    """Never chooses A while there is another, as one that has learned would."""

    is_keyed = False

    def choose(self, candidates: Candidates, **wishes: Any) -> Member:
        others = [one for one in candidates if one.backend.url != A]
        return others[0] if others else candidates[0]


class ShunningByKey(Shunning):
    is_keyed = True


@pytest.mark.parametrize("strategy", [Shunning(), ShunningByKey()])
def test_trial_does_not_wait_until_the_strategy_likes_it(strategy: Shunning) -> None:
    service = make_service([A, B, C], strategy=strategy)
    for _ in range(5):
        select_only(service, A).release(outcome=REFUSED)
    wait_for_return(service, A)

    found = chosen(service)

    assert (A in found) is not strategy.is_keyed
    assert (states_of(service)[A] == "closed") is not strategy.is_keyed


def test_no_other_request_goes_against_the_strategys_choice() -> None:
    service = make_service([A, B, C], strategy=Shunning())
    for _ in range(5):
        select_only(service, A).release(outcome=REFUSED)
    wait_for_return(service, A)

    held = [service.select() for _ in range(60)]

    assert sum(one.backend.url == A for one in held) == 1
    for one in held:
        one.release()
