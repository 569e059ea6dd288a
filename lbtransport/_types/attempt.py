"""What became of an exchange, attempt by attempt; for whoever asks why it took so long.

Nothing here decides anything, and nothing here holds a header, a query or a body.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from enum import Enum
from typing import NamedTuple

from lbtransport._types.backend import Backend
from lbtransport._types.outcome import Fault, Outcome


class Stage(Enum):
    """How far an attempt had got when it ended."""

    NOT_CONNECTED = "not connected"  # no byte of the request was sent
    REFUSED = "refused"  # sent, and the server says that it did nothing with it
    STALE = "stale"  # sent on a kept connection that the server had closed
    SENT = "sent"  # perhaps in part, and perhaps acted upon
    ANSWERED = "answered"  # the headers came
    UNKNOWN = "unknown"


_STAGE_OF_FAULT = {
    Fault.CONNECT: Stage.NOT_CONNECTED,
    Fault.CONNECT_TIMEOUT: Stage.NOT_CONNECTED,
    Fault.TLS: Stage.NOT_CONNECTED,
    Fault.CERTIFICATE: Stage.NOT_CONNECTED,
    Fault.POOL: Stage.NOT_CONNECTED,
    Fault.UNPROCESSED: Stage.REFUSED,
    Fault.STALE: Stage.STALE,
    Fault.GOING_AWAY: Stage.SENT,
    Fault.RESPONSE_TIMEOUT: Stage.SENT,
    Fault.DISCONNECT: Stage.SENT,
    Fault.WRITE: Stage.SENT,
    Fault.MALFORMED: Stage.SENT,
    Fault.BODY: Stage.ANSWERED,
    Fault.DECODING: Stage.ANSWERED,
    Fault.PROXY: Stage.UNKNOWN,
    Fault.LOCAL: Stage.UNKNOWN,
}


class Attempt(
    NamedTuple
):  # as each request makes one: a dataclass takes thrice as long
    """One send to one backend.

    Attributes:
        backend: Where to.
        outcome: What it came to: `Outcome.reason` in a word, `Outcome.status` and
            `Outcome.fault` for programs; that of a response as of its headers.
        elapsed: Seconds from the selection to the headers, or to the failure.
    """

    backend: Backend
    outcome: Outcome
    elapsed: float

    @property
    def stage(self) -> Stage:
        """How far it had got when it ended."""
        outcome = self.outcome
        if outcome.is_answer:
            return Stage.ANSWERED
        fault = outcome.fault
        return Stage.UNKNOWN if fault is None else _STAGE_OF_FAULT[fault]

    def __str__(self) -> str:
        """Return it in a few words."""
        what = self.outcome.reason or self.outcome.health.value
        return f"{self.backend.url} ({what}, {self.elapsed:.3f} s)"


class Exchange(NamedTuple):
    """The life of one caller's request.

    Attributes:
        service: The service's name.
        attempts: In order; the last one gave the response.
    """

    service: str
    attempts: tuple[Attempt, ...]


def annotate(error: Exception, service: str, attempts: Sequence[Attempt]) -> None:
    """Have an error tell, as `attempts` and in its traceback, what was tried."""
    if not attempts:
        return
    is_new = not hasattr(error, "attempts")  # a function may raise one object for ever
    with suppress(AttributeError):  # a class with slots
        error.attempts = tuple(attempts)  # type: ignore[attr-defined]
    if is_new:
        tried = ", ".join(map(str, attempts))
        times = f"{len(attempts)} attempts" if len(attempts) > 1 else "one attempt"
        error.add_note(f"{times} for {service!r}: {tried}")
