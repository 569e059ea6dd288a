"""What active checks found out about the backends, and what follows from it.

They speak beside the evidence of real traffic: either can take a backend out, and
checks that began after an ejection, and pass, end it early.

Thread-safe, under the lock of the accounts.
Not here: when and how backends are checked (`_upkeep`, `checks`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from lbtransport._accounts import Accounts
from lbtransport._announcer import Announcer
from lbtransport._backends import BackendState
from lbtransport._roster import Roster
from lbtransport.events import BackendFailing, BackendRecovered


class Findings:
    """The findings of the checks of one service.

    Attributes:
        is_closed: Whether there will be no more, so that checks need not go on.
    """

    def __init__(
        self,
        *,
        roster: Roster,
        accounts: Accounts,
        announcer: Announcer,
        now: Callable[[], float],
    ) -> None:
        """Have found nothing.

        Args:
            roster: Whose backends; its candidates change with what is found.
            accounts: Its lock guards all of these.
            announcer: Hears what changed.
            now: Reads the clock.
        """
        self._roster = roster
        self._accounts = accounts
        self._announcer = announcer
        self._now = now
        self.is_closed = False

    @property
    def members(self) -> tuple[BackendState, ...]:
        """The backends that are used; another tuple after each change."""
        return self._roster.members

    @property
    def states(self) -> tuple[BackendState, ...]:
        """What is known of each backend, whether it is used or not."""
        with self._accounts.lock:
            return tuple(self._roster.table)

    def passed(self, state: BackendState, *, since: float) -> None:
        """Take note that active checks speak for a backend.

        Args:
            state: Whose.
            since: When the first of them began; an ejection ends if all did after it.
        """
        with self._accounts.lock:
            if state.is_removed or self.is_closed:
                return
            was, state.checked = state.checked, True
            if was is False:
                self._announcer.note(BackendRecovered, state.backend)
            circuit, now = state.circuit, self._now()
            ends_ejection = not circuit.is_closed and since > circuit.ejected_at
            if ends_ejection:
                circuit.close(now)
                circuit.counted_from = state.successes
                state.is_suspect = False
                self._accounts.returned(state, now)
            elif was is False:
                self._roster.ramps.begin(state, now)
            if was is False or ends_ejection:
                self._roster.invalidate()
        self._announcer.announce()

    def failed(self, state: BackendState, reason: str) -> None:
        """Take note that active checks speak against a backend; `reason` says why."""
        with self._accounts.lock:
            if state.is_removed or self.is_closed:
                return
            was, state.checked = state.checked, False
            # In a panic, who failed least recently is tried first.
            state.circuit.last_failed_at = self._now()
            if was is not False:
                self._roster.invalidate()
                self._announcer.note(BackendFailing, state.backend, reason)
        self._announcer.announce()

    def close(self) -> None:
        """Take note that nobody checks any backend any more, and hear of nothing."""
        with self._accounts.lock:
            self.is_closed = True  # first: a check may be about to end
        self.unchecked(self.states)

    def unchecked(self, states: Iterable[BackendState]) -> None:
        """Take note that nobody checks some backends any more."""
        with self._accounts.lock:
            for state in states:
                state.checked = None
            self._roster.invalidate()
        self._announcer.announce()
