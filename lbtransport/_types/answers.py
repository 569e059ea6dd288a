"""What an HTTP answer says of the backend that gave it: its status and Retry-After.

References:
    RFC 9110, 10.2.3, on Retry-After.
"""

from __future__ import annotations

from dataclasses import replace
from email.utils import parsedate_to_datetime
from functools import lru_cache

from lbtransport._clock import Clock
from lbtransport._types.outcome import SUCCESS, Outcome, Repeat, Verdict

MAX_RETRY_AFTER = 60.0  # linkerd's clamp: no backend talks itself out of use for hours

_ERRORS = 400  # the first status that is one
_THROTTLES = frozenset({429, 503})
# Not Implemented and HTTP Version Not Supported answer what was asked, not how it went.
_ABOUT_THE_REQUEST = frozenset({501, 505})


def outcome_of_answer(status: int, retry_after: str | None, clock: Clock) -> Outcome:
    """Return what an answer says.

    Args:
        status: Its status.
        retry_after: Its ``Retry-After`` header, if it has one.
        clock: Tells the time.
    """
    outcome = outcome_of_status(status)
    if retry_after is None or status not in _THROTTLES:
        return outcome
    seconds = parse_retry_after(retry_after, clock.wall())
    if seconds is None:
        return outcome
    if seconds == 0:
        # It may be asked again, but to be left alone for no time excuses nobody.
        return replace(outcome, repeat=Repeat.ANY)
    return Outcome(
        Verdict.NEUTRAL,
        f"status {status}, Retry-After",
        sample=False,
        repeat=Repeat.ANY,
        until=clock.monotonic() + min(seconds, MAX_RETRY_AFTER),
        status=status,
    )


@lru_cache(maxsize=256)
def outcome_of_status(status: int) -> Outcome:
    """Return what a status says; which may be repeated is `retry`'s to say."""
    if status < _ERRORS:
        return SUCCESS
    if status < 500 or status in _ABOUT_THE_REQUEST:
        return Outcome(Verdict.SUCCESS, f"status {status}", status=status)
    return Outcome(
        Verdict.FAILURE,
        f"status {status}",
        # An answer that came quickly because nothing was done is no measure of speed.
        sample=False,
        shared=True,
        status=status,
    )


def parse_retry_after(value: str, wall: float) -> float | None:
    """Return the seconds that a ``Retry-After`` header asks for.

    Args:
        value: The header's value: seconds, or an HTTP date.
        wall: Seconds since the epoch, now.

    Returns:
        Seconds, at least 0; None if the value cannot be read.
    """
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(value).timestamp() - wall
        except (ValueError, OverflowError):
            return None
    return max(0.0, seconds) if seconds < float("inf") else None
