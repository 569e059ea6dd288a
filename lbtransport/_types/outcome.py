"""What an attempt came to, and the three independent verdicts that follow.

An `Outcome` says whether the backend is to blame (health), whether the time it took
says something about its speed (sample), and whether the same request may be sent again
(repeat).
The three do not follow from each other: a refused connection speaks against the
backend and may always be repeated, a cut body speaks against it and may never be, and
an exhausted local pool may be repeated and blames nobody.

A `Fault` is what the clients' many exceptions boil down to.
Each adapter maps its client's errors to faults; `FAULTS` maps faults to outcomes, once
for all.
Not here: what becomes of a verdict.  `health` ejects, `retry` repeats.

References:
    RFC 9110, 9.2.2, on what may be repeated automatically.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Verdict(Enum):
    """What an outcome says of a backend's health."""

    SUCCESS = "success"
    FAILURE = "failure"
    NEUTRAL = "neutral"


class Repeat(Enum):
    """What may be sent again, as far as the outcome goes."""

    NEVER = "never"
    IDEMPOTENT = "idempotent"  # the server may have acted on it
    ANY = "any"  # the server has not acted on it


class Fault(Enum):
    """What went wrong in an attempt, in words that all clients share."""

    CONNECT = "connect"  # refused, unreachable, or its name does not resolve
    CONNECT_TIMEOUT = "connect timeout"
    TLS = "tls"
    CERTIFICATE = "certificate"
    POOL = "local pool exhausted"
    UNPROCESSED = "refused to process"  # the server says so: HTTP/2 alone can
    GOING_AWAY = "going away"  # in good order, with the request perhaps processed
    RESPONSE_TIMEOUT = "response timeout"
    DISCONNECT = "disconnected"  # before the first byte of an answer
    STALE = "stale connection"  # the same, on one that had served before
    WRITE = "write"
    MALFORMED = "malformed response"
    BODY = "cut response body"
    PROXY = "proxy"
    LOCAL = "local"  # what the caller or the client itself did
    DECODING = "decoding"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one attempt came to.

    Make one with `success`, `failure`, `throttled` or `neutral`.

    Attributes:
        health: The verdict on the backend's health.
        reason: A short name of what happened, for people; no user data.
        fault: The fault behind it; None for a response.
        sample: Whether the latency says how fast the backend is.
        repeat: Whether the request may be sent again.
        hard: Nothing answered at all; such evidence is not capped by `max_ejected`.
        shared: It may be the request's fault, or the client's, if others show the same.
        until: The instant, on the balancer's monotonic clock, until which the backend
            asked to be left alone; None if it did not.
        status: The status that it answered with, if that says anything.
    """

    health: Verdict
    reason: str = ""
    fault: Fault | None = None
    sample: bool = True
    repeat: Repeat = Repeat.NEVER
    hard: bool = False
    shared: bool = False
    until: float | None = None
    status: int | None = None

    @property
    def is_answer(self) -> bool:
        """Whether the headers of a response came."""
        return self.sample or self.status is not None

    @property
    def is_unsent(self) -> bool:
        """Whether the backend failed before it got the request."""
        is_failure = self.health is Verdict.FAILURE
        return is_failure and self.repeat is Repeat.ANY and self.status is None

    @classmethod
    def success(cls) -> Outcome:
        """Return the outcome of an attempt that went well."""
        return SUCCESS

    @classmethod
    def failure(cls, reason: str) -> Outcome:
        """Return an outcome that speaks against the backend, for `reason`."""
        return cls(Verdict.FAILURE, reason, repeat=Repeat.IDEMPOTENT)

    @classmethod
    def throttled(cls, until: float) -> Outcome:
        """Return an outcome that takes the backend out of rotation, without blame.

        Args:
            until: Instant on the balancer's monotonic clock.
        """
        return cls(
            Verdict.NEUTRAL, "throttled", sample=False, repeat=Repeat.ANY, until=until
        )

    @classmethod
    def neutral(cls) -> Outcome:
        """Return an outcome that says nothing of the backend."""
        return NEUTRAL


SUCCESS = Outcome(Verdict.SUCCESS)
NEUTRAL = Outcome(Verdict.NEUTRAL, "neutral", sample=False)
CANCELLED = Outcome(Verdict.NEUTRAL, "cancelled", sample=False)
CUT_SHORT = Outcome(Verdict.NEUTRAL, "deadline", sample=False)
TIMEOUTS = frozenset({Fault.CONNECT_TIMEOUT, Fault.RESPONSE_TIMEOUT, Fault.WRITE})


def _blame(
    fault: Fault, repeat: Repeat, *, hard: bool = False, shared: bool = False
) -> Outcome:
    return Outcome(
        Verdict.FAILURE,
        fault.value,
        fault,
        sample=False,
        repeat=repeat,
        hard=hard,
        shared=shared,
    )


def _excuse(fault: Fault, repeat: Repeat) -> Outcome:
    return Outcome(Verdict.NEUTRAL, fault.value, fault, sample=False, repeat=repeat)


FAULTS: dict[Fault, Outcome] = {
    outcome.fault: outcome
    for outcome in (
        _blame(Fault.CONNECT, Repeat.ANY, hard=True),
        _blame(Fault.CONNECT_TIMEOUT, Repeat.ANY, hard=True),
        _blame(Fault.TLS, Repeat.ANY),
        # Where every backend shows it, it is our own list of authorities that is wrong.
        _blame(Fault.CERTIFICATE, Repeat.ANY, shared=True),
        # Whoever refuses has too much to do; where all do, it is we who send too much.
        _blame(Fault.UNPROCESSED, Repeat.ANY, shared=True),
        _blame(Fault.RESPONSE_TIMEOUT, Repeat.IDEMPOTENT),
        _blame(Fault.DISCONNECT, Repeat.IDEMPOTENT),
        # Both sides may close an idle connection at any time, also while a request is
        # under way (RFC 9112, 9.3.1).  It may have got through all the same.
        _excuse(Fault.STALE, Repeat.IDEMPOTENT),
        _blame(Fault.WRITE, Repeat.IDEMPOTENT),
        _blame(Fault.MALFORMED, Repeat.IDEMPOTENT),
        # The headers are with the caller by then: nobody can take them back.
        _blame(Fault.BODY, Repeat.NEVER),
        _excuse(Fault.POOL, Repeat.ANY),
        # A server that ends a connection after so many requests or seconds does well,
        # and takes with it all that the connection carried at that moment.
        _excuse(Fault.GOING_AWAY, Repeat.IDEMPOTENT),
        _excuse(Fault.PROXY, Repeat.IDEMPOTENT),
        _excuse(Fault.LOCAL, Repeat.NEVER),
        _excuse(Fault.DECODING, Repeat.NEVER),
    )
    if outcome.fault is not None
}
