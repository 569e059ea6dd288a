"""The balancer: the thread-safe state of one service, and nothing that does I/O.

It selects, keeps the accounts, and turns outcomes into health.
All of it happens under one short lock; what others need to hear is announced after the
lock was let go.

A finaliser may run inside any allocation, so also while this very thread holds the
lock.  Finalisers therefore only append to a deque, which select, release and stats
settle.

Not here: retries (`_exchange`), I/O (`_drive`), and the public face (`load_balancer`).
"""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Callable, Collection, Hashable, Iterable
from typing import TYPE_CHECKING, cast

from lbtransport import events
from lbtransport._announcer import Announcer
from lbtransport._backends import BackendState, Difference
from lbtransport._clock import Clock
from lbtransport._errors import NoBackendsAvailable
from lbtransport._picture import picture, why_nobody
from lbtransport._roster import Roster
from lbtransport._selection import RELEASED, RESPONDED, WAITING, Selection
from lbtransport._types import Backend, Outcome, ServiceStats, Verdict
from lbtransport._types.outcome import CANCELLED, SUCCESS
from lbtransport.health import Change, Detector, Fleet, HealthPolicy
from lbtransport.strategies import Strategy

if TYPE_CHECKING:
    from random import Random

# About the last ten samples; the average is for people, strategies keep their own.
_LATENCY_GAIN = 0.2


class Balancer:
    """Selects backends of one service and keeps the accounts.  Thread-safe."""

    def __init__(
        self,
        name: str,
        *,
        strategy: Strategy,
        health: HealthPolicy,
        clock: Clock,
        rng: Random,
        zone: str | None = None,
        max_in_flight: int | None = None,
        subset: int | None = None,
    ) -> None:
        """Start without backends."""
        self.name = name
        self.clock = clock
        self.rng = rng
        self.announcer = Announcer()
        self._noted = self.announcer.noted
        self._watchers = self.announcer.watchers
        self._now = clock.monotonic
        self._strategy = strategy
        self._choose = strategy.choose
        # What a strategy need not have is looked up once, not at each request.
        self._on_selected: Callable[..., None] | None
        self._on_responded: Callable[..., None] | None
        self._on_released: Callable[..., None] | None
        self._on_selected = getattr(strategy, "selected", None)
        self._on_responded = getattr(strategy, "responded", None)
        self._on_released = getattr(strategy, "released", None)
        self._max_in_flight = math.inf if max_in_flight is None else max_in_flight
        self._abandoned: deque[Selection] = deque()  # appended to by finalisers
        self._lock = threading.Lock()
        self._detector = Detector(health, rng)  # guarded by _lock
        self._roster = Roster(  # guarded by _lock
            zone=zone,
            max_in_flight=self._max_in_flight,
            subset=subset,
            fail_open=health.fail_open,
            rng=rng,
        )

    # -- taking and giving back ---------------------------------------------------

    def select(
        self,
        key: Hashable = None,
        exclude: Collection[Backend] = (),
        *,
        against_evidence: bool = False,
    ) -> Selection:
        """Take one backend for one attempt.

        Args:
            key: What the caller wants to be spread by.
            exclude: Backends that are not to be taken.
            against_evidence: If nobody else is left, take one that looks sick.

        Raises:
            NoBackendsAvailable: If there is none.
        """
        now = self._now()
        roster = self._roster
        with self._lock:
            if self._abandoned:
                self._settle(now)
            if now >= roster.stale_at:
                self._refresh(now)
            candidates = roster.candidates
            if exclude or not candidates:
                candidates = roster.untried(
                    exclude, now, against_evidence=against_evidence
                )
                if not candidates:
                    raise NoBackendsAvailable(
                        why_nobody(self.name, roster.members, exclude, now)
                    )
            chosen = self._choose(candidates, key=key, now=now, rng=self.rng)
            state = cast(BackendState, chosen)
            circuit = state.circuit
            is_trial = circuit.ejected_until is not None and circuit.is_half_open(now)
            # From here to the counters nothing is called: an interrupt finds either no
            # selection, or one that is counted and will be settled.
            selection = Selection(self, state, now, is_trial)
            state.in_flight += 1
            state.waiting += 1
            state.total += 1
            state.last_used_at = now
            if is_trial:
                circuit.is_on_trial = True
            if is_trial or state.in_flight >= self._max_in_flight:
                roster.invalidate()
            if self._on_selected is not None:
                self._on_selected(state, now=now)
        if self._noted or self._watchers:
            self.announcer.announce()
        return selection

    def respond(self, selection: Selection, outcome: Outcome | None) -> None:
        """Note that a selection's headers are here."""
        now = self._now()
        with self._lock:
            if selection.stage != WAITING:
                return
            selection.stage = RESPONDED
            self._responded(selection, outcome or SUCCESS, now, None)
            if outcome is not None and (outcome is not SUCCESS or selection.is_trial):
                # A long stream must not keep the trial's slot, nor hide a failure.
                self._judge(selection, outcome, now)
        if self._noted or self._watchers:
            self.announcer.announce()

    def release(
        self, selection: Selection, outcome: Outcome, latency: float | None
    ) -> None:
        """Give a selection's backend back; the second time does nothing."""
        now = self._now()
        with self._lock:
            if selection.stage == RELEASED:
                return
            self._end(selection, outcome, now, latency)
            if self._abandoned:
                self._settle(now)
        if self._noted or self._watchers:
            self.announcer.announce()

    def abandon(self, selection: Selection) -> None:
        """Take note, from a finaliser, of a selection that nobody holds any more."""
        self._abandoned.append(selection)

    def _end(
        self, selection: Selection, outcome: Outcome, now: float, latency: float | None
    ) -> None:
        """Close the account of one selection."""
        state = selection.state
        was_waiting = selection.stage == WAITING
        selection.stage = RELEASED
        if state.in_flight >= self._max_in_flight:
            self._roster.invalidate()
        state.in_flight -= 1
        if was_waiting:
            self._responded(selection, outcome, now, latency)
        if selection.judged is None:
            if outcome is SUCCESS and state.circuit.ejected_until is None:
                if not state.is_removed:
                    self._detector.praise(state.circuit, now)
            else:
                self._judge(selection, outcome, now)
        elif selection.judged is not Verdict.FAILURE is outcome.health:
            self._judge(selection, outcome, now)  # good headers, cut body
        if self._on_released is not None:
            self._on_released(
                state,
                started_at=selection.started_at,
                now=now,
                outcome=outcome,
                was_waiting=was_waiting,
            )

    def _responded(
        self, selection: Selection, outcome: Outcome, now: float, latency: float | None
    ) -> None:
        """End the waiting, and take the latency if it says something."""
        state = selection.state
        state.waiting -= 1
        if not outcome.sample:
            return
        sample = now - selection.started_at if latency is None else latency
        if state.latency is None:
            state.latency = sample
        else:
            state.latency += _LATENCY_GAIN * (sample - state.latency)
        if self._on_responded is not None:
            self._on_responded(state, started_at=selection.started_at, now=now)

    def _settle(self, now: float) -> None:
        """Close the accounts of what was dropped without being released."""
        while self._abandoned:
            selection = self._abandoned.popleft()
            # Headers that nobody read to the end are headers all the same.
            outcome = SUCCESS if selection.stage == RESPONDED else CANCELLED
            self._end(selection, outcome, now, None)

    def _judge(self, selection: Selection, outcome: Outcome, now: float) -> None:
        """Take an outcome on record and act on what it changed."""
        selection.judged = outcome.health
        state = selection.state
        if outcome.health is Verdict.FAILURE:
            state.failures += 1
        if state.is_removed:
            return
        if outcome.until is not None and outcome.until > max(
            now, state.throttled_until
        ):
            state.throttled_until = outcome.until
            self._roster.invalidate()
            self._note(events.BackendThrottled, state, outcome.until - now)
        change = self._detector.record(
            state.circuit,
            outcome,
            started_at=selection.started_at,
            is_trial=selection.is_trial,
            now=now,
            fleet=self._fleet,
        )
        if change is Change.NOTHING:
            return
        self._roster.invalidate()
        if change is Change.EJECTED:
            until = state.circuit.ejected_until or now
            self._note(events.BackendEjected, state, outcome.reason, until - now)
        elif change is Change.RETURNED:
            self._note(events.BackendReturned, state)

    def _fleet(self) -> Fleet:
        self._refresh(self._now())
        roster = self._roster
        return Fleet(len(roster.members), usable=roster.selectable.in_rotation)

    def _refresh(self, now: float) -> None:
        was_in_panic = self._roster.selectable.in_panic
        self._roster.refresh(now)
        is_in_panic = self._roster.selectable.in_panic
        if is_in_panic is not was_in_panic:
            event = events.PanicEntered if is_in_panic else events.PanicLeft
            self.announcer.note(event(self.name))

    def _note(
        self, event: Callable[..., events.Event], state: BackendState, *facts: object
    ) -> None:
        self.announcer.note(event(self.name, state.backend, *facts))

    # -- membership and the operator's will ---------------------------------------

    def add(self, backend: Backend) -> None:
        """Add a backend, or give one that is there its new attributes."""
        self._change(lambda: self._roster.table.add(backend))

    def remove(self, url: str | Backend) -> None:
        """Remove a backend; KeyError if it is unknown."""
        self._change(lambda: self._roster.table.remove(url))

    def update(self, backends: Iterable[Backend]) -> None:
        """Make `backends` the whole list; those that stay keep their state."""
        wanted = list(backends)
        self._change(lambda: self._roster.table.update(wanted))

    def _change(self, change: Callable[[], Difference]) -> None:
        with self._lock:
            difference = change()
            if self._roster.membership_changed(difference):
                self._strategy.members_changed(self._roster.members)
            for state in difference.removed:
                self._detector.forget(state.circuit)
                self._note(events.BackendRemoved, state)
            for state in difference.added:
                self._note(events.BackendAdded, state)
        self.announcer.announce()

    def mark(self, url: str | Backend, healthy: bool | None) -> None:
        """Overrule the evidence on a backend; None gives it back its say."""
        with self._lock:
            state = self._roster.table.find(url)
            if state.marked is not healthy:
                state.marked = healthy
                self._roster.invalidate()
                self._note(events.BackendMarked, state, healthy)
        self.announcer.announce()

    def drain(self, url: str | Backend, *, draining: bool) -> None:
        """Let a backend get no new requests, or again."""
        with self._lock:
            state = self._roster.table.find(url)
            if state.is_draining is not draining:
                state.is_draining = draining
                self._roster.invalidate()
                self._note(events.BackendDraining, state, draining)
        self.announcer.announce()

    # -- questions ----------------------------------------------------------------

    @property
    def backends(self) -> tuple[Backend, ...]:
        """The backends, in the order in which they were added."""
        with self._lock:
            return tuple(state.backend for state in self._roster.table)

    def stats(self) -> ServiceStats:
        """Return a picture of the service at this instant."""
        with self._lock:
            now = self._now()
            self._settle(now)
            wall = self.clock.wall()
            taken = picture(self.name, self._roster.table, now=now, wall=wall)
        self.announcer.announce()
        return taken

    def in_flight(self, url: str | Backend) -> int:
        """Return the number of selections of a backend that were not released."""
        with self._lock:
            self._settle(self._now())
            return self._roster.table.find(url).in_flight

    def has_untried(self, tried: Collection[Backend]) -> bool:
        """Tell whether a candidate is left that was not tried."""
        with self._lock:
            now = self._now()
            self._refresh(now)
            return bool(self._roster.untried(tried, now, against_evidence=False))

    def is_ready(self) -> bool:
        """Tell whether a usable backend is there."""
        with self._lock:
            self._refresh(self._now())
            return self._roster.selectable.usable > 0

    def changes_at(self) -> float:
        """Return when time alone changes who is usable; infinity if it does not."""
        with self._lock:
            return self._roster.selectable.stale_at

    def timeouts_are_widespread(self, backend: Backend) -> bool:
        """Tell whether the other backends time out too; see `health.detector`."""
        with self._lock:
            try:
                state = self._roster.table.find(backend)
            except KeyError:  # removed while the request was out
                return False
            return self._detector.timeouts_are_widespread(
                state.circuit, self._now(), members=len(self._roster.members)
            )

    def reset_after_fork(self) -> None:
        """Forget, in the child, what belongs to the parent."""
        self._lock = threading.Lock()
        self._abandoned.clear()
        self.announcer.reset_after_fork()
        self.rng.seed()
        self._roster.reset_after_fork()
        self._strategy.members_changed(self._roster.members)
