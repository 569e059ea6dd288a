"""Hedging: a second attempt elsewhere for a request that takes unusually long.

A fleet has stragglers: a request in fifty meets a pause, a cold cache or a lost packet,
and takes a hundred times as long as the others.
Asked once more elsewhere, after longer than nearly all take, it is answered as soon as
any, for a few percent of requests more.

Off unless asked for, because it is work done twice: of requests that are idempotent and
whose body is at hand, the first attempt alone, and within a budget of its own.

References:
    Dean, Barroso, "The Tail at Scale", 2013.
    Finagle, `BackupRequestFilter`, and gRFC A6, on the budget.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any

from lbtransport._balancer import Balancer
from lbtransport._course import Job, outcome_of_error
from lbtransport._effects import SHORTEST_TIMEOUT, Effect, Leg, Race, Send
from lbtransport._errors import NoBackendsAvailable
from lbtransport._selection import Selection
from lbtransport._types import Outcome
from lbtransport._types.outcome import CANCELLED
from lbtransport.events import AttemptHedged

if TYPE_CHECKING:
    from lbtransport.retry import Plan


def hedge_delay(balancer: Balancer, plan: Plan, job: Job) -> float | None:
    """Return after how many seconds to ask elsewhere too; None for never."""
    rank = plan.policy.hedge_percentile
    if rank is None or not plan.is_idempotent(job) or not job.can_race():
        return None
    return balancer.spending.usual_latency(rank)


def hedged(
    balancer: Balancer,
    plan: Plan,
    job: Job,
    selection: Selection,
    *,
    timeout: float | None,
    delay: float,
    ends_at: float,
) -> Generator[Effect, Any, tuple[Selection, Any, BaseException | None]]:
    """Send a request, and once more if no answer comes for `delay` seconds.

    Returns:
        The selection, and the response or the error, of the attempt that counts; the
        other one is settled.
    """
    selections = [selection]

    def extra() -> Send | None:
        if not balancer.outlook.has_untried([selection.backend]):
            return None  # nothing is paid for what nobody can do
        if not balancer.spending.charge_hedge():
            return None
        try:
            other = balancer.select(job.key, [selection.backend])
        except NoBackendsAvailable:  # somebody else was quicker
            return None
        selections.append(other)
        balancer.announcer.note(AttemptHedged, selection.backend, other.backend, delay)
        balancer.announcer.announce()
        left = None if timeout is None else max(timeout - delay, SHORTEST_TIMEOUT)
        return Send(other.backend, left)

    def is_welcome(response: Any) -> bool:
        return not plan.may_repeat(job.outcome_of(response, balancer), job)

    def outcome_of(leg: Leg, one: Selection) -> Outcome:
        if isinstance(leg.error, Exception):
            return outcome_of_error(leg.error, balancer, job, one, ends_at)
        if leg.error is not None:
            return CANCELLED
        return job.outcome_of(leg.response, balancer)

    try:
        legs: list[Leg] = yield Race(
            Send(selection.backend, timeout), delay, extra, is_welcome
        )
    except GeneratorExit:
        raise  # perhaps the collector's doing; each selection accounts for itself
    except BaseException:  # the caller's end is no verdict on either
        for one in selections:
            one.cancel()
        raise
    kept = legs[-1]
    ended = {leg.number: leg for leg in legs}
    for number, one in enumerate(selections):
        if number not in ended:
            one.cancel()  # what it waited for in vain counts as that, and no more
        elif number != kept.number:
            one.release(outcome=outcome_of(ended[number], one))
    winner = selections.pop(kept.number)
    winner.earlier = tuple(one.attempts[-1] for one in selections)
    return winner, kept.response, kept.error
