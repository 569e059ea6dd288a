"""The course of an exchange after something failed: whether, when and where again.

`retry` says what may be repeated at all; tenacity, ours or the user's, says whether it
is and after which wait; the balancer says on which backend.
This module brings the three together, for one exchange.
"""

from __future__ import annotations

import logging
from collections.abc import Generator, Hashable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

import tenacity

from lbtransport._balancer import Balancer
from lbtransport._effects import SHORTEST_TIMEOUT, Call, Effect, Sleep, Vet
from lbtransport._errors import ConfigurationError, NoBackendsAvailable
from lbtransport._selection import Selection
from lbtransport._tenacity import USUAL_SLEEPS
from lbtransport._turn import select_in_turn
from lbtransport._types import Attempt, Backend, Fault, Outcome
from lbtransport._types.outcome import CUT_SHORT, TIMEOUTS
from lbtransport.events import AttemptRetried
from lbtransport.retry import Plan, Repeatable, Standing

logger = logging.getLogger("lbtransport.retry")


class Job(Repeatable, Protocol):
    """One caller's request, as far as an exchange must understand it."""

    @property
    def key(self) -> Hashable:
        """What the caller wants to be spread by."""
        ...

    @property
    def deadline(self) -> float | None:
        """Seconds for the whole exchange; None if it may take for ever."""
        ...

    def outcome_of(self, response: Any, balancer: Balancer) -> Outcome:
        """Return what a response says of the backend that gave it."""
        ...

    def outcome_of_error(self, error: Exception) -> Outcome:
        """Return what an error in place of a response says of the backend."""
        ...

    def can_race(self) -> bool:
        """Tell whether the body can be sent twice at the same time."""
        ...

    def is_answer(self, answer: Any) -> bool:
        """Tell whether the caller can be given `answer` as the response."""
        ...


def outcome_of_error(
    error: Exception,
    balancer: Balancer,
    job: Job,
    selection: Selection,
    ends_at: float,
) -> Outcome:
    """Return what an error says of a backend, that may have had too little time.

    Args:
        error: What the attempt ended with, just now.
        balancer: The service.
        job: What was to be done.
        selection: That of the attempt.
        ends_at: Instant of the deadline; infinity if there is none.
    """
    outcome = job.outcome_of_error(error)
    if (
        outcome.fault in TIMEOUTS
        and job.deadline is not None
        and ends_at - balancer.clock.monotonic() <= SHORTEST_TIMEOUT
        and not balancer.outlook.is_fair(selection, job.deadline)
    ):
        return CUT_SHORT
    return outcome


@dataclass(frozen=True, slots=True)
class Ended:
    """An attempt that is over: a response came of it, or an error."""

    selection: Selection
    outcome: Outcome
    response: Any
    error: Exception | None

    @property
    def backend(self) -> Backend:
        """Where it was sent."""
        return self.selection.backend


@dataclass(frozen=True, slots=True)
class Again:
    """The next attempt follows, after a wait of so many seconds."""

    wait: float


@dataclass(frozen=True, slots=True)
class Instead:
    """The user's own tenacity object ends the exchange with an answer of its own."""

    response: Any


class Course:
    """The retries of one exchange.

    Attributes:
        attempts: Those that are over.
    """

    def __init__(self, balancer: Balancer, plan: Plan, job: Job) -> None:
        """Begin with nothing tried."""
        self._balancer = balancer
        self._plan = plan
        self._job = job
        self._tried: list[Backend] = []
        self.attempts: tuple[Attempt, ...] = ()
        self._has_repeated_timeout = False
        self._may_overrule_evidence = False
        self._standing = Standing(balancer.rng)
        # Callbacks that await would mix up the calls of one shared object, so a user's
        # own is copied for each exchange (tenacity#93).
        self._retrying = plan.retrying.copy() if plan.is_own else plan.retrying
        self._retrying.begin()
        self._call = tenacity.RetryCallState(
            self._retrying, None, (self._standing,), {}
        )

    def begin(self) -> Generator[Effect, Any, None]:
        """Let a user's own tenacity object see the first attempt coming.

        Raises:
            ConfigurationError: If it is none for this kind of client.
        """
        yield Vet(self._retrying)
        yield from self._step()

    def consider(
        self, attempt: Ended, ends_at: float
    ) -> Generator[Effect, Any, Again | Instead | None]:
        """Decide what follows an attempt.

        Args:
            attempt: The last one.
            ends_at: Instant of the deadline; infinity if there is none.

        Returns:
            What follows; None if the attempt's own response or error is the answer.

        Raises:
            ConfigurationError: If a callback of the user's answers with no response.
            Exception: What a callback of the user's raised.
        """
        known, self.attempts = len(self.attempts), attempt.selection.attempts
        # A race is several at once.
        self._tried += [one.backend for one in self.attempts[known:]]
        if not self._may_repeat(attempt):
            return None
        outcome = attempt.outcome
        now = self._balancer.clock.monotonic()
        self._standing.has_untried = self._balancer.outlook.has_untried(self._tried)
        self._standing.is_stale = outcome.fault is Fault.STALE
        self._standing.retry_after = self._throttled_for(outcome, now)
        self._standing.remaining = ends_at - now
        self._may_overrule_evidence = outcome.is_unsent
        error = attempt.error
        if error is None:
            self._call.set_result(attempt.response)
        else:
            self._call.set_exception((type(error), error, error.__traceback__))
        try:
            step = yield from self._step()
        except Exception as raised:
            if raised is error:
                self._call.outcome = None  # leave no cycle to the collector
                return None
            raise
        if not isinstance(step, tenacity.DoSleep):
            if error is None and step is attempt.response:
                return None
            if not self._job.is_answer(step):
                raise ConfigurationError(
                    f"retry_error_callback returned {step!r}, which is no response of "
                    f"this client: return one, or state.outcome.result(), or raise"
                )
            return Instead(step)
        if step >= self._standing.remaining:
            return None  # the next attempt could only begin after the deadline
        if self._plan.has_budget and not self._balancer.spending.charge_retry():
            return None
        self._announce(attempt, float(step))
        self._call.prepare_for_next_attempt()
        return Again(float(step))

    def wait(self, seconds: float) -> Generator[Effect, Any, None]:
        """Wait, and tell a user's own tenacity object that the next attempt begins."""
        sleep = self._retrying.sleep
        if sleep not in USUAL_SLEEPS:
            yield Call(sleep, (seconds,))
        elif seconds > 0:
            yield Sleep(seconds)
        if self._plan.is_own:
            yield from self._step()

    def select_next(
        self, ends_at: float, *, may_be_none: bool
    ) -> Generator[Effect, Any, Selection | None]:
        """Select the backend of the next attempt.

        Untried ones first; when all were tried a new round begins, in which the one
        that failed last comes last.

        Args:
            ends_at: Instant of the deadline; infinity if there is none.
            may_be_none: Whether to return None if there is no backend.

        Raises:
            NoBackendsAvailable: If there is no backend.
        """
        last = self._tried[-1]
        select, key = self._balancer.select, self._job.key
        with suppress(NoBackendsAvailable):
            return select(
                key, self._tried, against_evidence=self._may_overrule_evidence
            )
        self._tried = []
        with suppress(NoBackendsAvailable):
            return select(key, (last,))
        try:
            return (yield from select_in_turn(self._balancer, key, (last,), ends_at))
        except NoBackendsAvailable:
            if may_be_none:
                return None
            raise

    def _step(self) -> Generator[Effect, Any, Any]:
        """Have tenacity take its next step; callbacks that await are awaited."""
        step = self._retrying.iter
        if isinstance(self._retrying, tenacity.AsyncRetrying):
            return (yield Call(step, (self._call,)))
        # Called here: the driver would await an answer that can be awaited.
        return step(self._call)

    def _throttled_for(self, outcome: Outcome, now: float) -> float:
        """Return how long to leave all alone, if the last one asked for it.

        Not for as long as it asked if another one is usable, or returns before it.
        """
        if outcome.until is None:
            return 0.0
        return max(0.0, min(outcome.until - now, self._balancer.outlook.usable_in()))

    def _may_repeat(self, attempt: Ended) -> bool:
        """Tell whether repeating is safe, and whether it helps."""
        if not self._plan.may_repeat(attempt.outcome, self._job):
            return False
        fault = attempt.outcome.fault
        if fault is Fault.CERTIFICATE:
            # The same one is no better when it is shown again.
            return self._balancer.outlook.has_untried(self._tried)
        if fault is not Fault.RESPONSE_TIMEOUT:
            return True
        # A slow fleet that is asked twice gets slower: once at most, unless the user's
        # own rules say more, and not at all while the others time out too.
        if self._has_repeated_timeout and not self._plan.is_own:
            return False
        self._has_repeated_timeout = True
        return not self._balancer.outlook.timeouts_are_widespread(attempt.backend)

    def _announce(self, attempt: Ended, wait: float) -> None:
        number = self._call.attempt_number
        logger.debug(
            "attempt failed service=%s backend=%s attempt=%d reason=%s wait=%.3fs",
            self._balancer.name,
            attempt.backend.url,
            number,
            attempt.outcome.reason,
            wait,
        )
        announcer = self._balancer.announcer
        reason = attempt.outcome.reason
        announcer.note(AttemptRetried, attempt.backend, reason, number, wait)
        announcer.announce()
