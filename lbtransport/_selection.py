"""A selection: one backend, taken for one attempt, given back exactly once."""

from __future__ import annotations

from types import TracebackType
from typing import Protocol, Self

from lbtransport._backends import BackendState
from lbtransport._types import Attempt, Backend, Outcome, Verdict
from lbtransport._types.exceptions import outcome_of_exception
from lbtransport._types.outcome import CANCELLED, SUCCESS

WAITING, RESPONDED, RELEASED = range(3)


class Ledger(Protocol):
    """Where selections are accounted for.

    Attributes:
        failure_statuses: Statuses that are failures.
    """

    failure_statuses: frozenset[int]

    def respond(self, selection: Selection, outcome: Outcome | None) -> None:
        """Note that the headers are here."""
        ...

    def release(
        self, selection: Selection, outcome: Outcome, latency: float | None
    ) -> None:
        """Give the backend back."""
        ...

    def abandon(self, selection: Selection) -> None:
        """Note, without a lock, that nobody holds the selection any more."""
        ...


class Selection:
    """One backend for one attempt.  Thread-safe.

    Also a context manager, which releases: OSError, TimeoutError and the clients'
    transport errors are failures, other Exceptions are neutral, BaseExceptions cancel.

    A selection that is dropped without being released is given back when it is
    collected.

    Attributes:
        backend: The backend to use.
        started_at: When it was selected, on the balancer's monotonic clock.
    """

    __slots__ = (
        "_ledger",
        "backend",
        "earlier",
        "elapsed",
        "judged",
        "outcome",
        "stage",
        "started_at",
        "state",
        "trial",
    )

    def __init__(self, ledger: Ledger, state: BackendState, started_at: float) -> None:
        """Belong to `ledger`, which sets the stage when it has counted it."""
        self._ledger = ledger
        self.state = state
        self.backend: Backend = state.backend
        self.started_at = started_at
        self.trial = 0  # the number of the trial of a half-open circuit; 0: none
        self.stage = RELEASED
        self.judged: Verdict | None = None  # the verdict given at the headers
        self.earlier: tuple[Attempt, ...] = ()  # of the same exchange
        # Set when there is something to tell.
        self.outcome: Outcome
        self.elapsed: float

    @property
    def attempts(self) -> tuple[Attempt, ...]:
        """The attempts of the exchange so far, this one last, which has ended."""
        return (*self.earlier, Attempt(self.backend, self.outcome, self.elapsed))

    def responded(self, *, outcome: Outcome | None = None) -> None:
        """Note that the headers are here: takes the latency and ends the waiting.

        Args:
            outcome: What the headers say, if anything.
                A failure counts at once; a success only when the body has ended.
        """
        self._ledger.respond(self, outcome)

    def release(
        self,
        latency: float | None = None,
        error: BaseException | None = None,
        outcome: Outcome | None = None,
    ) -> None:
        """Give the backend back; later calls do nothing.

        Args:
            latency: Seconds from select to headers; measured if it is None.
            error: What went wrong; None is a success.
            outcome: What it came to; None leaves it to `error`.
        """
        if self.stage == RELEASED:
            return  # for good: no lock is needed to see that
        if outcome is None:
            outcome = SUCCESS
            if error is not None:
                outcome = outcome_of_error(error, self._ledger.failure_statuses)
        self._ledger.release(self, outcome, latency)

    def cancel(self) -> None:
        """Give the backend back without a verdict: the caller gave up."""
        self._ledger.release(self, CANCELLED, None)

    def abandon(self) -> None:
        """Give the backend back soon; for finalisers, which must take no lock."""
        self._ledger.abandon(self)

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Release, by what left the block."""
        self.release(error=error)

    def __del__(self) -> None:
        """Account for a selection that nobody released.

        This may run inside any allocation, on a thread that holds any lock.
        """
        try:
            is_open = self.stage != RELEASED
        except AttributeError:
            return  # interrupted while it was made
        if is_open:
            self.abandon()

    def __repr__(self) -> str:
        """Show the backend and the stage."""
        stage = ("waiting", "responded", "released")[self.stage]
        return f"<Selection backend={self.backend.url!r} {stage}>"


def outcome_of_error(error: BaseException, failure_statuses: frozenset[int]) -> Outcome:
    """Return what an error says of the backend; a BaseException is a cancellation."""
    if isinstance(error, Exception):
        return outcome_of_exception(error, failure_statuses)
    return CANCELLED
