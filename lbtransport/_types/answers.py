"""What an HTTP answer says of the backend that gave it: its status and Retry-After.

References:
    RFC 9110, 10.2.3, on Retry-After, and 6.6.1, on Date.
    The SDKs of openai and Azure, on ``retry-after-ms``.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import UTC
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Any, Protocol

from lbtransport._clock import Clock
from lbtransport._types.outcome import SUCCESS, Outcome, Repeat, Verdict

logger = logging.getLogger("lbtransport.health")

MAX_THROTTLE_TIME = 60.0  # linkerd's clamp: nobody talks himself out of use for hours
_ERRORS = 400  # the first status that is one
_THROTTLES = frozenset({429, 503})
# Not Implemented and HTTP Version Not Supported answer what was asked, not how it went.
FAILURE_STATUSES = frozenset(range(500, 600)) - {501, 505}

# What float() takes besides is no header's: "nan", "inf", "1_000", other alphabets.
_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]*)?")
# Clients join the values of a repeated header by commas, and a date has one of its own.
_VALUE = re.compile(r"(?:(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*,)?[^,]+", re.IGNORECASE)


class Headers(Protocol):
    """An answer's headers, by names in any case; repeated ones joined by commas."""

    def get(self, name: str, /) -> str | None:
        """Return a header's value; None if it is not there."""
        ...


class Judge:
    """What the answers of one service say, by the rules of its user.

    Attributes:
        failure_statuses: Statuses that are failures.
        sees_all: Whether it must be asked about each answer; else one with a status
            below 400 is a `SUCCESS`.
    """

    __slots__ = (
        "_clock",
        "_is_failure",
        "_max_throttle_time",
        "failure_statuses",
        "sees_all",
    )

    def __init__(
        self,
        clock: Clock,
        *,
        failure_statuses: Collection[int] = FAILURE_STATUSES,
        is_failure: Callable[[Any], bool | None] | None = None,
        max_throttle_time: float = MAX_THROTTLE_TIME,
    ) -> None:
        """Judge by these rules; see `lbtransport.HealthPolicy`."""
        self._clock = clock
        self._is_failure = is_failure
        self._max_throttle_time = max_throttle_time
        self.failure_statuses = frozenset(failure_statuses)
        self.sees_all = is_failure is not None

    def outcome_of(self, response: Any, status: int, headers: Headers) -> Outcome:
        """Return what an answer says.

        Args:
            response: The answer, as the client made it.
            status: Its status.
            headers: Its headers.
        """
        outcome = outcome_of_answer(
            status,
            headers,
            self._clock,
            longest=self._max_throttle_time,
            failure_statuses=self.failure_statuses,
        )
        return self._overruled(response, outcome, f"status {status}", status)

    def outcome_of_result(self, result: Any) -> Outcome:
        """Return what it says that a user's function returned `result`."""
        return self._overruled(result, SUCCESS, "result", None)

    def _overruled(
        self, response: Any, outcome: Outcome, reason: str, status: int | None
    ) -> Outcome:
        """Return the user's own verdict on the health, if he has one."""
        if self._is_failure is None:
            return outcome
        try:
            is_failure = self._is_failure(response)
        except Exception:
            # A bug in what only judges must not fail the request that is judged.
            logger.exception("is_failure failed reason=%s", reason)
            return outcome
        is_said_already = is_failure is (outcome.health is Verdict.FAILURE)
        if is_failure is None or is_said_already:
            return outcome
        if not is_failure:
            return replace(outcome, health=Verdict.SUCCESS, sample=True, shared=False)
        return replace(
            outcome,
            health=Verdict.FAILURE,
            reason=f"{reason}, is_failure",
            sample=False,
            shared=True,
            status=status,
        )


def outcome_of_answer(
    status: int,
    headers: Headers,
    clock: Clock,
    *,
    longest: float = MAX_THROTTLE_TIME,
    failure_statuses: frozenset[int] = FAILURE_STATUSES,
) -> Outcome:
    """Return what an answer says.

    Args:
        status: Its status.
        headers: Its headers.
        clock: Tells the time.
        longest: Seconds of being left alone that it gets at most.
        failure_statuses: Statuses that are failures.
    """
    outcome = outcome_of_status(status, failure_statuses)
    if status not in _THROTTLES:
        return outcome
    seconds = retry_after(headers, clock)
    if seconds is None:
        return outcome
    seconds = min(seconds, longest)
    if seconds == 0:
        # It may be asked again, but to be left alone for no time excuses nobody.
        return replace(outcome, repeat=Repeat.ANY)
    return Outcome(
        Verdict.NEUTRAL,
        f"status {status}, Retry-After",
        sample=False,
        repeat=Repeat.ANY,
        until=clock.monotonic() + seconds,
        status=status,
    )


@lru_cache(maxsize=256)
def outcome_of_status(
    status: int, failure_statuses: frozenset[int] = FAILURE_STATUSES
) -> Outcome:
    """Return what a status says; which may be repeated is `retry`'s to say."""
    if status < _ERRORS:
        return SUCCESS
    if status not in failure_statuses:
        return Outcome(Verdict.SUCCESS, f"status {status}", status=status)
    return Outcome(
        Verdict.FAILURE,
        f"status {status}",
        # An answer that came quickly because nothing was done is no measure of speed.
        sample=False,
        shared=True,
        status=status,
    )


def retry_after(headers: Headers, clock: Clock) -> float | None:
    """Return for how many seconds an answer asks to be left alone.

    ``retry-after-ms`` before ``Retry-After``, for it is the more exact of the two; and
    of several values the longest.

    Args:
        headers: The answer's.
        clock: Tells the time, where the answer does not.

    Returns:
        Seconds, at least 0; None if it does not ask, or not so that it can be read.
    """
    milliseconds = headers.get("retry-after-ms")
    if milliseconds is not None:
        asked = [_number(value) for value in milliseconds.split(",")]
        found = [value / 1000 for value in asked if value is not None]
        if found:
            return max(0.0, *found)
    values = headers.get("retry-after")
    if values is None:
        return None
    # What the server's date means is known only by the server's own clock.
    date = headers.get("date")
    sent_at = None if date is None else _instant(date)
    now = clock.wall() if sent_at is None else sent_at
    found = [
        seconds
        for value in _VALUE.findall(values)
        if (seconds := _seconds(value.strip(), now)) is not None
    ]
    return max(0.0, *found) if found else None


def _seconds(value: str, now: float) -> float | None:
    """Return the seconds that one value asks for, negative ones included."""
    number = _number(value)
    if number is not None:
        return number
    instant = _instant(value)
    return None if instant is None else instant - now


def _number(value: str) -> float | None:
    # Of too many digits float() makes infinity, which is as long as can be.
    return float(value) if _NUMBER.fullmatch(value.strip()) else None


def _instant(date: str) -> float | None:
    """Return the seconds since the epoch that an HTTP date means."""
    try:
        instant = parsedate_to_datetime(date)
        # The form without a zone is in GMT too; Python would take it for local time.
        if instant.tzinfo is None:
            instant = instant.replace(tzinfo=UTC)
        return instant.timestamp()
    except (ValueError, OverflowError):
        return None
