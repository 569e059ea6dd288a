"""What is repeated, how often, and after which wait.

*May* it be repeated is decided here, by what may have happened: a request that was
never sent goes to another backend whatever its method; one that the server may have
acted on only if doing it twice is doing it once (RFC 9110, 9.2.2).
*Is* it repeated, and when, is decided by tenacity, with the stop and the wait below or
with those of a tenacity object of the user's own.

Time and chance come in with the `Standing` of the exchange; nothing here asks a clock.

References:
    gRPC's retry design, on three attempts and on never committing twice.
    AWS Architecture Blog, "Exponential Backoff and Jitter", on full jitter.
"""

from __future__ import annotations

import functools
from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias

import tenacity
from tenacity.stop import stop_base
from tenacity.wait import wait_base

from lbtransport._errors import ConfigurationError
from lbtransport._tenacity import adopt, last_outcome
from lbtransport._types import Fault, Outcome, Repeat
from lbtransport._validation import check_integer, check_number, check_type

if TYPE_CHECKING:
    from random import Random

__all__ = [
    "IDEMPOTENT_METHODS",
    "Retry",
    "RetryPolicy",
    "Standing",
    "stop_before_deadline",
    "wait_untried",
]

IDEMPOTENT_METHODS = frozenset(
    {"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE", "QUERY"}
)
_GATEWAY_STATUSES = frozenset({502, 503, 504})


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How a request is repeated on other backends.

    Args:
        attempts: Sends in all, the first included; 1 switches retries off (gRPC: 3).
        statuses: Statuses after which an idempotent request is repeated.
        methods: Methods that are idempotent: repeating one is the same as sending it
            once (RFC 9110, 9.2.2, and QUERY).
        repeat_stale: Whether a request of any method is repeated that met a kept
            connection which the server had closed.  The server hardly ever acted on
            it, but nobody can know.
        min_wait: Seconds of the first backoff, once no untried backend is left.
            While one is left there is no wait.
        max_wait: Seconds that no backoff exceeds; each is drawn between 0 and its
            limit (full jitter).
        budget_ratio: Retries for each request of the service, at most, 0 to 1: when
            all backends fail they get 1.2 times the load and not 3 times (Finagle:
            20 %).  None sets no budget.
        budget_per_second: Retries for each second beyond that, so that a program that
            makes few requests may repeat them.
        budget_window: Seconds of the past that count, fading (Finagle: 10 s).
        hedge_percentile: Part of the answers, 0.5 to 0.999, after whose latency an
            idempotent request is sent to another backend as well, and the first answer
            counts; 0.95 is a good one.  None, the default, never does.
        hedge_ratio: Such second attempts for each request, at most, 0 to 1; they count
            in the budget of the retries, too.
        attempt_timeout: Seconds until the headers of each attempt's response; then it
            is a response timeout, or a connect timeout, and repeated as such.  The
            body is not covered, other than by Envoy's per_try_timeout: a stream may go
            on for minutes, and past the headers nothing can be repeated.  None leaves
            it to the client's own timeouts.

    Raises:
        ConfigurationError: If a value is out of its range.
    """

    attempts: int = 3
    statuses: Collection[int] = _GATEWAY_STATUSES
    methods: Collection[str] = IDEMPOTENT_METHODS
    repeat_stale: bool = False
    min_wait: float = 0.025
    max_wait: float = 1.0
    budget_ratio: float | None = 0.2
    budget_per_second: float = 3.0
    budget_window: float = 10.0
    hedge_percentile: float | None = None
    hedge_ratio: float = 0.06
    attempt_timeout: float | None = None

    def __post_init__(self) -> None:
        """Refuse values out of range."""
        check_integer("attempts", self.attempts, least=1)
        for status in self.statuses:
            check_integer("statuses", status, least=400, most=599)
        check_type("repeat_stale", self.repeat_stale, bool, "give True or False")
        check_number("min_wait", self.min_wait, unit="seconds")
        check_number("max_wait", self.max_wait, least=self.min_wait, unit="seconds")
        if self.budget_ratio is not None:
            check_number(
                "budget_ratio", self.budget_ratio, most=1, unit="retries a request"
            )
        check_number("budget_per_second", self.budget_per_second, unit="retries")
        if self.hedge_percentile is not None:
            check_number(
                "hedge_percentile",
                self.hedge_percentile,
                least=0.5,
                most=0.999,
                unit="a part of the answers",
            )
        check_number("hedge_ratio", self.hedge_ratio, most=1, unit="attempts a request")
        check_number("budget_window", self.budget_window, above=True, unit="seconds")
        if self.attempt_timeout is not None:
            check_number(
                "attempt_timeout", self.attempt_timeout, above=True, unit="seconds"
            )
        if isinstance(self.methods, str):
            raise ConfigurationError(f"methods={self.methods!r}: give a set of methods")
        object.__setattr__(self, "statuses", frozenset(self.statuses))
        methods = frozenset(method.upper() for method in self.methods)
        object.__setattr__(self, "methods", methods)


class Repeatable(Protocol):
    """What must be known of a request to say whether it may be sent again."""

    @property
    def method(self) -> str:
        """The HTTP method, upper case."""
        ...

    @property
    def is_declared_idempotent(self) -> bool | None:
        """What the caller said; None if he said nothing."""
        ...

    def can_replay(self) -> bool:
        """Tell whether the body can be sent, whole, once more."""
        ...


@dataclass(slots=True)
class Standing:
    """How an exchange stands when a retry is considered.

    tenacity's callbacks find it at ``retry_state.args[0]``.

    Attributes:
        rng: The source of chance.
        has_untried: Whether a candidate is left that was not tried.
        is_stale: Whether only a connection failed, and another will do.
        retry_after: Seconds until a backend may be asked, if the last one asked to be
            left alone.
        remaining: Seconds that are left of the deadline.
    """

    rng: Random
    has_untried: bool = True
    is_stale: bool = False
    retry_after: float = 0.0
    remaining: float = float("inf")


class wait_untried(wait_base):  # noqa: N801 - as tenacity names its own
    """No wait while an untried backend is left, then exponential with full jitter."""

    def __init__(self, minimum: float, maximum: float) -> None:
        """Draw from 0 to `minimum` seconds at first, to `maximum` at last."""
        self.minimum = minimum
        self.maximum = maximum

    def __call__(self, retry_state: tenacity.RetryCallState) -> float:
        """Return seconds to wait before the next attempt."""
        standing: Standing = retry_state.args[0]
        if standing.has_untried or standing.is_stale:
            return 0.0
        doublings = min(retry_state.attempt_number - 1, 64)
        limit = min(self.maximum, self.minimum * 2.0**doublings)
        return max(standing.rng.random() * limit, standing.retry_after)


class stop_before_deadline(stop_base):  # noqa: N801 - as tenacity names its own
    """Stop when the next attempt could only begin after the deadline."""

    def __call__(self, retry_state: tenacity.RetryCallState) -> bool:
        """Tell whether to stop."""
        standing: Standing = retry_state.args[0]
        return retry_state.upcoming_sleep >= standing.remaining


Retry: TypeAlias = RetryPolicy | tenacity.BaseRetrying | bool | None


@dataclass(frozen=True, slots=True)
class Plan:
    """How the exchanges of a service are repeated.

    Attributes:
        policy: What may be repeated.
        retrying: Stop, wait and callbacks.
        is_own: Whether `retrying` is the user's own, with rules that must see every
            answer, and not made of `policy`.
    """

    policy: RetryPolicy
    retrying: tenacity.BaseRetrying
    is_own: bool = False

    def is_final(self, outcome: Outcome) -> bool:
        """Tell whether nothing can follow this outcome, whatever the request is."""
        return (
            outcome.repeat is Repeat.NEVER
            and outcome.status not in self.policy.statuses
            and not self.is_own
        )

    @property
    def has_budget(self) -> bool:
        """Whether a retry must be paid for; with rules of one's own it need not."""
        return not self.is_own and self.policy.budget_ratio is not None

    def may_repeat(self, outcome: Outcome, request: Repeatable) -> bool:
        """Tell whether a request may be sent again after this outcome.

        Rules of the user's own decide about every outcome, but not about what is safe:
        what the backend may have acted on is repeated only if the request allows it.
        """
        if self.is_final(outcome):
            return False
        if not (
            outcome.repeat is Repeat.ANY
            or self.is_idempotent(request)
            or self._takes_the_risk(outcome, request)
        ):
            return False
        return request.can_replay()

    def is_idempotent(self, request: Repeatable) -> bool:
        """Tell whether sending a request twice is the same as sending it once."""
        declared = request.is_declared_idempotent
        return request.method in self.policy.methods if declared is None else declared

    def _takes_the_risk(self, outcome: Outcome, request: Repeatable) -> bool:
        """Tell whether a request that hardly ever got through may be sent again."""
        is_stale = outcome.fault is Fault.STALE
        is_undeclared = request.is_declared_idempotent is None
        return is_stale and is_undeclared and self.policy.repeat_stale


def make_plan(retry: Retry) -> Plan:
    """Return the plan that a `retry=` argument describes.

    Args:
        retry: A policy, a tenacity object of the user's, True or None for the default
            policy, False for no retries.

    Raises:
        ConfigurationError: If it is none of these.
    """
    if isinstance(retry, tenacity.BaseRetrying):
        return _plan_of_own(retry)
    if retry is None or isinstance(retry, bool):
        retry = NO_RETRIES if retry is False else RetryPolicy()
    if not isinstance(retry, RetryPolicy):
        raise ConfigurationError(
            f"retry={retry!r} is no retry policy; give a RetryPolicy, a tenacity "
            f"Retrying or AsyncRetrying, or False"
        )
    return _plan_of_policy(retry)


NO_RETRIES = RetryPolicy(attempts=1)


@functools.lru_cache(maxsize=64)
def _plan_of_policy(policy: RetryPolicy) -> Plan:
    # One tenacity object serves all threads and tasks: each iter() runs to its end
    # without suspending, and its state is thread-local.
    retrying = tenacity.Retrying(
        stop=tenacity.stop_after_attempt(policy.attempts) | stop_before_deadline(),
        wait=wait_untried(policy.min_wait, policy.max_wait),
        retry=_always,
        retry_error_callback=last_outcome,
    )
    return Plan(policy, retrying)


def _plan_of_own(retrying: tenacity.BaseRetrying) -> Plan:
    if not retrying.enabled:
        return _plan_of_policy(NO_RETRIES)
    return Plan(RetryPolicy(), adopt(retrying), is_own=True)


def _always(retry_state: tenacity.RetryCallState) -> bool:
    return True  # what must not be repeated is never put to tenacity
