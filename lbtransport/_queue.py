"""The queue: requests that found no backend with room, in the order of their coming.

Where `max_in_flight` limits what one backend gets, a request may wait until one has
room again.
Whoever makes room hands it to the first in line, so nobody overtakes: while somebody
waits, the roster shows nobody else a candidate.
Those who need no queue pay nothing for it: it hears of changes as all do who wait for
one, by a signal of the announcer.

The queue does not keep a ticket alive.  Who is collected while he waits has left: his
finaliser need take no lock, and what was handed to him is given back as any selection
that is dropped.

Not here: the waiting itself, and for how long (`_turn`).

References:
    Envoy, circuit breakers: `max_pending_requests`; httpcore's connection pool, whose
    `_assign_requests_to_connections` decides and leaves the waking to others.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Collection, Hashable
from typing import TYPE_CHECKING

from lbtransport._accounts import Accounts
from lbtransport._announcer import Announcer
from lbtransport._backends import BackendState
from lbtransport._errors import NoBackendsAvailable
from lbtransport._picture import why_nobody
from lbtransport._roster import Roster
from lbtransport._selection import Selection
from lbtransport._types import Backend, Signal

if TYPE_CHECKING:
    from random import Random


_NAP_OF_THE_FIRST = 0.05  # seconds
_NAP = 1.0


class Ticket:
    """A place in the queue; who lets go of it has left.

    Attributes:
        key: What the request is to be spread by.
        tried: Backends that it would rather not get.
        result: What came of the waiting; None until then.  Guarded by the lock.
        signal: Given when there is a result.
    """

    __slots__ = ("__weakref__", "key", "result", "signal", "tried")

    def __init__(self, key: Hashable, tried: Collection[Backend]) -> None:
        """Wait."""
        self.key = key
        self.tried = tried
        self.result: Selection | Exception | None = None
        self.signal = Signal()


class Queue:
    """The queue of one service.  Thread-safe."""

    def __init__(
        self,
        service: str,
        *,
        roster: Roster,
        accounts: Accounts,
        announcer: Announcer,
        choose: Callable[..., BackendState],
        now: Callable[[], float],
        rng: Random,
        limit: int,
        timeout: float | None,
    ) -> None:
        """Be empty.

        Args:
            service: The service's name.
            roster: Tells who has room.
            accounts: Counts what is handed out; its lock guards all of these.
            announcer: Tells when something changed.
            choose: The strategy's choice among candidates.
            now: Reads the clock.
            rng: Where chance comes from.
            limit: How many may wait.
            timeout: Seconds that each may wait; None for as long as it takes.
        """
        self.limit = limit
        self.timeout = timeout
        self._service = service
        self._roster = roster
        self._accounts = accounts
        self._announcer = announcer
        self._choose = choose
        self._now = now
        self._rng = rng
        self._places: dict[weakref.ref[Ticket], None] = {}  # guarded by the lock
        self._alarm: Signal | None = None  # guarded by the lock

    def count(self) -> int:
        """Return how many wait; under the lock."""
        return sum(place() is not None for place in self._places)

    def enter(self, key: Hashable, tried: Collection[Backend]) -> Ticket:
        """Return a place at the end, or with a result if there is nothing to wait for.

        Args:
            key: What the request is to be spread by.
            tried: Backends that are given to it only if there are no others.
        """
        ticket = Ticket(key, tried)
        place = weakref.ref(ticket)
        with self._accounts.lock:
            self._places[place] = None
            served = self._serve()
            if ticket.result is None and self._is_too_long():
                del self._places[place]
                ticket.result = NoBackendsAvailable(
                    f"no backend of {self._service!r} has room, and its queue is full: "
                    f"{self.limit} requests wait in it; raise max_in_flight or "
                    f"max_queued, add backends, or send less"
                )
        self._wake(served)
        return ticket

    def look(self, ticket: Ticket) -> Selection | Exception | None:
        """Return what came of a ticket; None lets it wait for its signal, a new one."""
        with self._accounts.lock:
            ticket.signal = Signal()
            if self._alarm is not None:
                # Whoever was interrupted while he gave it gives it no more.
                self._announcer.unwatch(self._alarm)
                self._alarm = None
            served = self._serve()
            result = ticket.result
        self._wake(served)
        return result

    def look_again_at(self, ticket: Ticket) -> float:
        """Return when to look, if no signal comes: time alone makes room as well.

        And so does what is dropped or closed half read, which may wake nobody.
        """
        with self._accounts.lock:
            is_first = next(iter(self._places), None) == weakref.ref(ticket)
            stale_at = self._roster.selectable.stale_at
        nap = _NAP_OF_THE_FIRST if is_first else _NAP
        return min(self._now() + nap, stale_at)

    def leave(self, ticket: Ticket) -> Selection | Exception | None:
        """Give up a place; return what had come of it by then."""
        with self._accounts.lock:
            self._places.pop(weakref.ref(ticket), None)
            served = self._serve()
        self._wake(served)
        return ticket.result

    def reset_after_fork(self) -> None:
        """Forget, in the child, who waits in the parent."""
        self._places.clear()
        self._alarm = None
        self._roster.reserve(False)

    def _is_too_long(self) -> bool:
        if len(self._places) > self.limit:
            for place in [place for place in self._places if place() is None]:
                del self._places[place]
        return len(self._places) > self.limit

    def _hear(self) -> None:
        """Hand out what a change made free; called by whoever announces it."""
        with self._accounts.lock:
            served = self._serve()
        for signal in served:
            signal.set()

    def _wake(self, served: list[Signal]) -> None:
        for signal in served:
            signal.set()
        if self._announcer.noted:
            self._announcer.announce()

    def _serve(self) -> list[Signal]:
        """Give the first in line what there is; return the signals to be given."""
        now, places = self._now(), self._places
        self._accounts.settle(now)
        served: list[Signal] = []
        while places:
            place = next(iter(places))
            ticket = place()
            if ticket is not None and ticket.result is None:
                ticket.result = self._result_for(ticket, now)
                if ticket.result is None:
                    break
                served.append(ticket.signal)
            # Taken away last: an interrupt leaves a result that is not given twice.
            del places[place]
        self._roster.reserve(bool(places))
        if not places:
            if self._alarm is not None:
                self._announcer.unwatch(self._alarm)
                self._alarm = None
        elif self._alarm is None or self._alarm.is_set:
            # Under the lock, so that no change comes between the look and the watch.
            self._alarm = self._announcer.watch()
            self._alarm.listen(self._hear)
        return served

    def _result_for(self, ticket: Ticket, now: float) -> Selection | Exception | None:
        """Return a selection, or what went wrong; None if nobody has room."""
        roster = self._roster
        roster.refresh(now)
        candidates = roster.find_room(ticket.tried)
        if not candidates:
            if roster.selectable.is_full:
                return None
            return NoBackendsAvailable(
                why_nobody(self._service, roster.members, (), now)
            )
        try:
            state = self._choose(candidates, key=ticket.key, now=now, rng=self._rng)
            selection = Selection(self._accounts, state, now)
            self._accounts.open(selection, now)
        except Exception as error:  # noqa: BLE001 - a strategy's, and no matter of others
            return error
        return selection
