"""What an exchange asks before it goes on: who is left, when, and who is to blame.

The answers hold for the instant in which they were given; nothing is reserved by them.

Thread-safe, under the lock of the accounts.
Not here: what follows from an answer (`_course`, `_exchange`, `_waiting`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from lbtransport._accounts import Accounts
from lbtransport._announcer import Announcer
from lbtransport._roster import Roster
from lbtransport._selection import Selection
from lbtransport._types import Backend
from lbtransport.health.detector import Detector

# What an attempt must have had before it is held against the backend that the deadline
# cut it: less than half is what others left over, and in less than twice the average
# many a good answer is not there.
_FAIR_PART = 0.5  # of the deadline
_FAIR_LATENCIES = 2.0  # times the average of the backend


class Outlook:
    """The outlook of those who use one service."""

    def __init__(
        self,
        *,
        roster: Roster,
        accounts: Accounts,
        detector: Detector,
        announcer: Announcer,
        now: Callable[[], float],
    ) -> None:
        """Look at what these know.

        Args:
            roster: Who may be selected.
            accounts: Its lock guards all of these.
            detector: Who timed out.
            announcer: Hears what changed by time alone, and was noticed here.
            now: Reads the clock.
        """
        self._roster = roster
        self._accounts = accounts
        self._detector = detector
        self._announcer = announcer
        self._now = now

    def has_untried(self, tried: Collection[Backend]) -> bool:
        """Tell whether a candidate is left that was not tried."""
        with self._accounts.lock:
            now = self._now()
            self._roster.refresh(now)
            found = bool(self._roster.untried(tried, now, against_evidence=False))
        self._announce()
        return found

    def is_ready(self) -> bool:
        """Tell whether a usable backend is there."""
        with self._accounts.lock:
            now = self._now()
            self._accounts.settle(now)
            self._roster.refresh(now)
            found = self._roster.selectable.usable > 0
        self._announce()
        return found

    def usable_in(self) -> float:
        """Return seconds until time alone makes a backend usable; 0 if one is now."""
        with self._accounts.lock:
            now = self._now()
            self._roster.refresh(now)
            selectable = self._roster.selectable
            return 0.0 if selectable.usable else selectable.stale_at - now

    def changes_at(self) -> float:
        """Return when time alone changes who is usable; infinity if it does not."""
        with self._accounts.lock:
            return self._roster.selectable.stale_at

    def timeouts_are_widespread(self, backend: Backend) -> bool:
        """Tell whether the other backends time out too; see `health.detector`."""
        with self._accounts.lock:
            try:
                state = self._roster.table.find(backend)
            except KeyError:  # removed while the request was out
                return False
            return self._detector.timeouts_are_widespread(
                state.circuit, self._now(), members=len(self._roster.members)
            )

    def is_fair(self, selection: Selection, deadline: float) -> bool:
        """Tell whether a timeout speaks against the backend, and not the caller.

        Args:
            selection: Of the attempt that timed out just now.
            deadline: Seconds that the whole exchange had.
        """
        with self._accounts.lock:
            had = self._now() - selection.started_at
            self._accounts.take_samples()
            usual = selection.state.latency or 0.0
        return had >= max(_FAIR_PART * deadline, _FAIR_LATENCIES * usual)

    def _announce(self) -> None:
        # Not always: those who wait for a change ask here, and would wake themselves.
        if self._announcer.noted:
            self._announcer.announce()
