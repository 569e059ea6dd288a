"""The exchange: the whole life of one caller's request, as a generator of effects.

It selects, has the request sent, judges what came back, and sends it again where that
is allowed and tenacity says so.
It performs nothing itself, so the same lines serve threads, asyncio and trio, and a
test runs them with neither a network nor a clock.

The rule that everything here serves: each selection is given back exactly once, however
the attempt ends.  What is handed to the caller still carries its selection, which ends
with the body.

Not here: what may be repeated (`retry`), and what a client's response or error is; the
`Job` tells.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Generator
from types import TracebackType
from typing import Any, TypeAlias

from lbtransport._balancer import Balancer
from lbtransport._course import (
    Course,
    Ended,
    Instead,
    Job,
    outcome_of_error,
)
from lbtransport._effects import SHORTEST_TIMEOUT, Close, Effect, Send
from lbtransport._hedge import hedge_delay, hedged
from lbtransport._selection import Selection
from lbtransport._turn import select_in_turn
from lbtransport._types.attempt import annotate
from lbtransport._types.outcome import SUCCESS
from lbtransport.retry import Plan

logger = logging.getLogger("lbtransport.retry")

Exchange: TypeAlias = Generator[Effect, Any, tuple[Any, Selection]]


def exchange(  # noqa: PLR0912, PLR0915 - one life, told in one piece
    balancer: Balancer, plan: Plan, job: Job
) -> Exchange:
    """Run one caller's request over as many backends as it takes.

    Yields:
        Effects for `_drive`.

    Returns:
        The response, and the selection that is to be released with its body.

    Raises:
        NoBackendsAvailable: If no backend could be selected.
        Exception: The last attempt's error, as the client raised it.
    """
    # A user's own tenacity object sees every attempt; ours is asked when one failed.
    course = Course(balancer, plan, job) if plan.is_own else None
    if course is not None:
        yield from course.begin()
    ends_at = math.inf
    if job.deadline is not None:
        ends_at = balancer.clock.monotonic() + job.deadline
    delay = hedge_delay(balancer, plan, job)
    if balancer.queue is None:
        selection = balancer.select(job.key)
    else:
        selection = yield from select_in_turn(balancer, job.key, (), ends_at)
    while True:
        timeout = plan.policy.attempt_timeout
        if ends_at < math.inf:
            left = max(ends_at - balancer.clock.monotonic(), SHORTEST_TIMEOUT)
            timeout = left if timeout is None else min(timeout, left)
        response: Any = None
        is_answered = False
        error: Exception | None = None
        traceback: TracebackType | None = None
        try:
            if delay is None:
                response = yield Send(selection.backend, timeout)
            else:
                selection, response, failed = yield from hedged(
                    balancer,
                    plan,
                    job,
                    selection,
                    timeout=timeout,
                    delay=delay,
                    ends_at=ends_at,
                )
                delay = None
                if failed is not None:
                    raise failed
            is_answered = True
            outcome = job.outcome_of(response, balancer)
            selection.responded(outcome=outcome)
            if course is None and (outcome is SUCCESS or plan.is_final(outcome)):
                return response, selection
        except GeneratorExit:
            # Perhaps the collector's doing, which must meet no lock: the selection
            # dies with this frame, and its finaliser accounts for it.
            raise
        except BaseException as caught:
            if is_answered or not isinstance(caught, Exception):
                # An interrupt; or a bug in what looks at an answer, which must not pass
                # for an error of the sending: that might be repeated.
                selection.cancel()
                if response is not None:
                    yield from _discard(response)
                raise
            error, traceback = caught, caught.__traceback__
            outcome = outcome_of_error(caught, balancer, job, selection, ends_at)
            selection.release(outcome=outcome)
        try:
            if course is None:
                course = Course(balancer, plan, job)
            step = yield from course.consider(
                Ended(selection, outcome, response, error), ends_at
            )
            if step is None:
                if error is not None:
                    raise error.with_traceback(traceback)
                return response, selection
            # Nothing is held while waiting: neither the backend nor a connection.
            selection.release(outcome=outcome)
            if response is not None:
                discarded, response = response, None
                yield from _discard(discarded)
            if isinstance(step, Instead):
                return step.response, selection
            yield from course.wait(step.wait)
            following = yield from course.select_next(
                ends_at, may_be_none=error is not None
            )
            if following is None:
                assert error is not None
                raise error.with_traceback(traceback)
            selection = following
            selection.earlier = course.attempts
        except GeneratorExit:
            raise  # as above
        except BaseException as raised:  # the last error too, which was released
            selection.cancel()
            if isinstance(raised, Exception) and course is not None:
                annotate(raised, balancer.name, course.attempts)
            if response is not None:
                yield from _discard(response)
            # An error's traceback holds this frame: leave no cycle to the collector.
            course = None
            raise
        finally:
            del response, error


def _discard(response: Any) -> Generator[Effect, Any, None]:
    """Close a response that nobody will see; that it cannot be closed is no matter."""
    try:
        yield Close(response)
    except Exception:
        logger.debug("closing a discarded response failed", exc_info=True)
