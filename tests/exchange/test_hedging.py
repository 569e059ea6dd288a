"""Requests that are sent to a second backend because the first one takes so long."""

from __future__ import annotations

import logging
from collections.abc import Generator
from typing import Any

import pytest

from lbtransport import ConfigurationError, LoadBalancer
from lbtransport import RetryPolicy as Policy
from lbtransport._effects import Effect, Leg, Race, Send
from lbtransport._exchange import exchange
from lbtransport._types.outcome import CANCELLED
from lbtransport.events import AttemptHedged, AttemptRetried
from lbtransport.retry import make_plan
from tests.core_kit import A, B, C, Job, Reply, advance, make_service, stats_of
from tests.exchange.kit import refused

HEDGED = Policy(hedge_percentile=0.95, hedge_ratio=1.0)
USUAL = 0.1  # seconds


def make_usual(service: LoadBalancer, requests: int = 100) -> None:
    """Have so many requests take as long as usual."""
    for _ in range(requests):
        with service.select() as selection:
            advance(service, USUAL)
            selection.responded()


def make_hedged(retry: Policy = HEDGED, **options: Any) -> LoadBalancer:
    service = make_service(retry=retry, **options)
    make_usual(service)
    return service


def begin(service: LoadBalancer, method: str = "GET", **job: Any) -> Any:
    """Return an exchange and its first effect."""
    steps = exchange(service.core, service.plan, Job(method, **job))
    return steps, next(steps)


def end(steps: Generator[Effect, Any, Any], result: Any) -> Any:
    """Hand an exchange its last result; return what it returns."""
    with pytest.raises(StopIteration) as ended:
        steps.send(result)
    return ended.value.value


def in_flight(service: LoadBalancer) -> int:
    return sum(one.in_flight for one in service.stats().backends)


def test_request_is_hedged_after_what_is_usual() -> None:
    steps, race = begin(make_hedged())

    assert isinstance(race, Race)
    assert USUAL <= race.delay <= USUAL * 10 / 9
    steps.close()


@pytest.mark.parametrize(
    ("policy", "job"),
    [
        (Policy(), {}),
        (HEDGED, {"method": "POST"}),
        (HEDGED, {"is_declared_idempotent": False}),
        (HEDGED, {"is_replayable": False}),
    ],
    ids=["off", "not idempotent", "said not to be", "body sent once"],
)
def test_these_are_not_hedged(policy: Policy, job: dict[str, Any]) -> None:
    steps, effect = begin(make_hedged(policy), **job)

    assert isinstance(effect, Send)
    steps.close()


def test_nothing_is_hedged_before_it_is_known_what_is_usual() -> None:
    service = make_service(retry=HEDGED)
    make_usual(service, requests=99)

    steps, effect = begin(service)

    assert isinstance(effect, Send)
    steps.close()


def test_what_is_usual_is_looked_at_once_a_second() -> None:
    service = make_service(retry=HEDGED)
    make_usual(service, requests=99)
    assert service.core.spending.usual_latency(0.95) is None
    with service.select() as selection:
        selection.responded()

    assert service.core.spending.usual_latency(0.95) is None
    advance(service, 1.0)
    assert service.core.spending.usual_latency(0.95) is not None


def test_answer_of_the_first_needs_no_second() -> None:
    service = make_hedged()
    steps, race = begin(service)
    reply = Reply()

    response, selection = end(steps, [Leg(0, reply)])
    selection.release()

    assert response is reply
    assert selection.backend == race.first.backend
    assert len(selection.attempts) == 1
    assert in_flight(service) == 0


def test_second_one_is_another_backend() -> None:
    service = make_hedged(backends=[A, B])
    steps, race = begin(service)

    extra = race.extra()

    assert {race.first.backend.url, extra.backend.url} == {A, B}
    steps.close()


def test_loser_gets_no_verdict_and_leaves_nothing_in_flight() -> None:
    service = make_hedged()
    steps, race = begin(service)
    slow = race.first.backend.url
    extra = race.extra()

    _, selection = end(steps, [Leg(1, Reply())])
    assert in_flight(service) == 1
    selection.release()

    assert selection.backend == extra.backend
    assert [one.backend.url for one in selection.attempts] == [
        slow,
        extra.backend.url,
    ]
    assert selection.attempts[0].outcome is CANCELLED
    assert stats_of(service, slow).failures == 0
    assert in_flight(service) == 0


def test_loser_that_failed_is_blamed() -> None:
    service = make_hedged()
    steps, race = begin(service)
    race.extra()

    _, selection = end(steps, [Leg(0, error=refused()), Leg(1, Reply())])
    selection.release()

    assert stats_of(service, race.first.backend.url).failures == 1
    assert selection.attempts[0].outcome.reason == "connect"


def test_loser_that_the_deadline_cut_short_is_not_blamed() -> None:
    service = make_hedged(backends=[A, B])
    steps, race = begin(service, deadline=1.0)
    advance(service, 0.9)
    other = race.extra().backend.url
    advance(service, 0.1)

    with pytest.raises(TimeoutError):
        steps.send([Leg(1, error=TimeoutError()), Leg(0, error=TimeoutError())])

    assert stats_of(service, other).failures == 0
    assert stats_of(service, race.first.backend.url).failures == 1
    assert in_flight(service) == 0


def test_loser_that_answered_badly_is_blamed() -> None:
    service = make_hedged()
    steps, race = begin(service)
    race.extra()

    _, selection = end(steps, [Leg(0, Reply(503)), Leg(1, Reply())])
    selection.release()

    assert stats_of(service, race.first.backend.url).failures == 1


def test_only_what_would_not_be_repeated_is_welcome() -> None:
    steps, race = begin(make_hedged())

    welcome = [race.is_welcome(Reply(status)) for status in (200, 404, 500, 503)]

    assert welcome == [True, True, True, False]
    steps.close()


def test_both_failed_and_a_third_is_tried() -> None:
    service = make_hedged(backends=[A, B, C])
    steps, race = begin(service)
    tried = {race.first.backend.url, race.extra().backend.url}

    send = steps.send([Leg(1, error=refused()), Leg(0, error=refused())])

    assert isinstance(send, Send)  # at once, and never more than one extra
    assert {send.backend.url} == {A, B, C} - tried
    _, selection = end(steps, Reply())
    selection.release()
    assert len(selection.attempts) == 3
    assert in_flight(service) == 0


def test_last_error_of_a_race_is_raised() -> None:
    service = make_hedged(Policy(hedge_percentile=0.95, hedge_ratio=1, attempts=1))
    steps, race = begin(service)
    race.extra()
    first, last = refused(), refused()

    with pytest.raises(ConnectionRefusedError) as raised:
        steps.send([Leg(1, error=first), Leg(0, error=last)])

    assert raised.value is last
    assert len(last.attempts) == 2  # type: ignore[attr-defined]  # as annotated
    assert in_flight(service) == 0


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ZeroDivisionError()])
def test_interrupted_race_leaves_nothing_in_flight(error: BaseException) -> None:
    service = make_hedged()
    steps, race = begin(service)
    race.extra()

    with pytest.raises(type(error)):
        steps.throw(error)

    assert in_flight(service) == 0


def test_interrupt_of_a_legs_thread_is_the_callers() -> None:
    service = make_hedged()
    steps, race = begin(service)
    race.extra()

    with pytest.raises(SystemExit):
        steps.send([Leg(0, error=SystemExit()), Leg(1, error=SystemExit())])

    assert in_flight(service) == 0


def test_abandoned_race_leaves_nothing_in_flight() -> None:
    service = make_hedged()
    steps, race = begin(service)
    race.extra()

    steps.close()
    del steps, race

    assert in_flight(service) == 0


def test_nobody_else_is_no_race_and_costs_nothing() -> None:
    policy = Policy(hedge_percentile=0.95, budget_ratio=0, budget_per_second=0.1)
    service = make_hedged(policy, backends=[A])
    steps, race = begin(service)

    assert race.extra() is None
    assert service.core.spending.charge_retry()
    steps.close()


def test_other_that_was_taken_in_this_moment_is_no_race(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    service = make_hedged(backends=[A])
    steps, race = begin(service)
    monkeypatch.setattr(service.core.outlook, "has_untried", lambda tried: True)

    assert race.extra() is None
    steps.close()


def test_second_attempts_stay_within_their_budget() -> None:
    service = make_hedged(Policy(hedge_percentile=0.95, hedge_ratio=0.05))
    hedged = 0

    for _ in range(400):
        steps, race = begin(service)
        hedged += race.extra() is not None
        steps.close()
        del steps, race
        advance(service, 0.01)

    assert hedged == pytest.approx(0.05 * 400, abs=3)


def hedges_of(service: LoadBalancer, requests: int) -> int:
    """Begin requests that all take too long; return how many were hedged."""
    hedged = 0
    for _ in range(requests):
        steps, race = begin(service)
        hedged += race.extra() is not None
        steps.close()
        del steps, race
    return hedged


def retries_of(service: LoadBalancer) -> int:
    """Return how many retries can be paid for, one after the other."""
    retries = 0
    while service.core.spending.charge_retry():
        service.select().release()
        retries += 1
    return retries


LIMITED = Policy(
    hedge_percentile=0.95, hedge_ratio=0.06, budget_ratio=0.2, budget_per_second=0
)


def test_hedges_and_retries_together_stay_within_the_budget_of_retries() -> None:
    service = make_hedged(LIMITED)

    hedges = hedges_of(service, 500)

    # Of these requests and those before, and of none that were extra.
    assert hedges == pytest.approx(0.06 * 600, abs=2)
    assert hedges + retries_of(service) <= 0.2 * 600


def test_nothing_is_hedged_while_there_are_as_many_retries_as_can_be() -> None:
    service = make_hedged(LIMITED)
    retries = retries_of(service)

    assert retries > 0
    assert hedges_of(service, 1) == 0


def test_hedges_take_nothing_from_retries_that_need_not_pay() -> None:
    service = make_hedged(
        Policy(hedge_percentile=0.95, hedge_ratio=1.0, budget_ratio=None)
    )

    assert hedges_of(service, 500) == 500


def test_time_of_the_deadline_goes_on_for_the_second_one() -> None:
    steps, race = begin(make_hedged(), deadline=1.0)

    extra = race.extra()

    assert race.first.timeout == pytest.approx(1.0)
    assert extra.timeout == pytest.approx(1.0 - race.delay)
    steps.close()


def test_hedge_is_told_and_is_no_retry(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger="lbtransport.retry")
    service = make_hedged()
    heard: list[Any] = []
    service.subscribe(heard.append)
    steps, race = begin(service)

    extra = race.extra()

    first = race.first.backend
    assert heard == [AttemptHedged("orders", first, extra.backend, race.delay)]
    assert not any(isinstance(event, AttemptRetried) for event in heard)
    assert caplog.records[-1].getMessage() == (
        f"attempt hedged service=orders backend={first.url} "
        f"other={extra.backend.url} after={race.delay:.3f}s"
    )
    steps.close()


@pytest.mark.parametrize(
    "wrong", [{"hedge_percentile": 0.4}, {"hedge_percentile": 1}, {"hedge_ratio": -1}]
)
def test_policy_refuses_what_makes_no_sense(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(wrong))):
        Policy(**wrong)  # type: ignore[arg-type]  # mypy does not see which


def test_requests_own_policy_may_hedge() -> None:
    service = make_service()
    make_usual(service)

    steps = exchange(service.core, make_plan(HEDGED), Job())

    assert isinstance(next(steps), Race)
    steps.close()
