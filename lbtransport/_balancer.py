"""The balancer: the thread-safe state of one service, and nothing that does I/O.

It brings together who may be selected (`_roster`), the strategy that chooses, and the
accounts that follow what was chosen (`_accounts`).
All of it happens under one short lock; what others need to hear is announced after the
lock was let go.

Not here: retries (`_exchange`), I/O (`_drive`), and the public face (`load_balancer`).
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Collection, Hashable, Iterable
from functools import partial
from typing import TYPE_CHECKING, cast

from lbtransport import events
from lbtransport._accounts import Accounts
from lbtransport._announcer import Announcer
from lbtransport._backends import BackendState, Difference, unique
from lbtransport._clock import Clock
from lbtransport._errors import NoBackendsAvailable
from lbtransport._findings import Findings
from lbtransport._outlook import Outlook
from lbtransport._picture import picture, why_nobody
from lbtransport._queue import Queue
from lbtransport._ramps import Ramps
from lbtransport._roster import Roster
from lbtransport._selection import Selection
from lbtransport._spending import Spending
from lbtransport._types import Backend, ServiceStats
from lbtransport._types.answers import Judge
from lbtransport.health import HealthPolicy
from lbtransport.health.detector import Detector
from lbtransport.retry import RetryPolicy
from lbtransport.strategies import Candidates, Strategy

if TYPE_CHECKING:
    from random import Random


class Balancer:
    """Selects backends of one service and keeps the accounts.  Thread-safe."""

    def __init__(
        self,
        name: str,
        *,
        strategy: Strategy,
        health: HealthPolicy,
        retry: RetryPolicy,
        clock: Clock,
        rng: Random,
        zone: str | None = None,
        max_in_flight: int | None = None,
        max_queued: int | None = None,
        queue_timeout: float | None = None,
        subset: int | None = None,
        give_way: Callable[[], None] = lambda: None,
    ) -> None:
        """Start without backends.

        Args:
            name: The service's.
            strategy: Chooses among candidates.
            health: When a backend is ejected.
            retry: How many retries are allowed.
            clock: Where time comes from.
            rng: Where chance comes from.
            zone: The caller's own.
            max_in_flight: Room of one backend; None if it is not limited.
            max_queued: How many exchanges may wait for room; None for none.
            queue_timeout: Seconds that each may wait; None for as long as it takes.
            subset: Number of backends to keep to.
            give_way: Gives other threads a turn, during a strategy's long builds.
        """
        self.name = name
        self.clock = clock
        self.rng = rng
        self.judge = Judge(
            clock,
            failure_statuses=health.failure_statuses,
            is_failure=health.is_failure,
            max_throttle_time=health.max_throttle_time,
        )
        self.announcer = Announcer(name)
        self._noted = self.announcer.noted
        self._watchers = self.announcer.watchers
        self._now = clock.monotonic
        self._strategy = strategy
        self._is_keyed: bool = getattr(strategy, "is_keyed", False)
        # A cast at each request would be a call: what it chooses from are our states.
        self._choose = cast(Callable[..., BackendState], strategy.choose)
        # No limit is an integer too: the comparison is on the path of each request.
        self._max_in_flight = sys.maxsize if max_in_flight is None else max_in_flight
        self._give_way = give_way
        self._changing = threading.Lock()  # one change of the members at a time
        self._lock = threading.RLock()  # see _accounts
        self._roster = Roster(  # guarded by _lock
            self.announcer,
            zone=zone,
            max_in_flight=self._max_in_flight,
            subset=subset,
            health=health,
            rng=rng,
            ramps=Ramps(0 if self._is_keyed else health.slow_start),
        )
        self._ramps = self._roster.ramps  # guarded by _lock
        self._detector = Detector(  # guarded by _lock
            health, rng, self._roster.table
        )
        self._accounts = Accounts(  # guarded by _lock
            self._roster,
            self._detector,
            self.announcer,
            strategy,
            max_in_flight=self._max_in_flight,
            lock=self._lock,
            now=self._now,
            failure_statuses=self.judge.failure_statuses,
        )
        self._abandoned = self._accounts.abandoned
        self.findings = Findings(
            roster=self._roster,
            accounts=self._accounts,
            announcer=self.announcer,
            now=self._now,
        )
        self.spending = Spending(
            retry,
            roster=self._roster,
            accounts=self._accounts,
            announcer=self.announcer,
            now=self._now,
        )
        self.outlook = Outlook(
            roster=self._roster,
            accounts=self._accounts,
            detector=self._detector,
            announcer=self.announcer,
            now=self._now,
        )
        self.queue: Queue | None = None
        if max_queued is not None:
            self.queue = Queue(
                name,
                roster=self._roster,
                accounts=self._accounts,
                announcer=self.announcer,
                choose=self._choose_for_queue,
                now=self._now,
                rng=rng,
                limit=max_queued,
                timeout=queue_timeout,
            )

    # -- taking -------------------------------------------------------------------

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
        roster, accounts = self._roster, self._accounts
        try:
            with self._lock:
                # Read under the lock: whoever is first here is also first in time.
                now = self._now()
                if self._abandoned:
                    accounts.settle(now)
                if now >= roster.stale_at:
                    roster.refresh(now)
                candidates = roster.candidates
                if exclude or not candidates:
                    candidates = roster.untried(
                        exclude, now, against_evidence=against_evidence
                    )
                    if not candidates:
                        raise NoBackendsAvailable(
                            why_nobody(self.name, roster.members, exclude, now)
                        )
                state = self._choose(candidates, key=key, now=now, rng=self.rng)
                if now < self._ramps.end_at:
                    state = self._settle(state, candidates, key, now)
                if roster.on_trial:
                    state = self._admit(state, candidates)
                selection = Selection(accounts, state, now)
                accounts.open(selection, now)
        finally:
            if self._noted or self._watchers:
                self.announcer.announce()
        return selection

    def _admit(self, state: BackendState, candidates: Candidates) -> BackendState:
        """Return what was chosen, or now and then a backend that waits for its trial.

        A strategy that learns would leave it alone for long, and its trial is what ends
        that; as often as by lot is as often as the others choose it.
        """
        place = int(self.rng.random() * len(candidates))
        waiting = () if self._is_keyed else self._roster.on_trial
        if place < len(waiting) and waiting[place] in candidates:
            return waiting[place]
        return state

    def _choose_for_queue(
        self, candidates: Candidates, *, key: Hashable, now: float, rng: Random
    ) -> BackendState:
        state = self._choose(candidates, key=key, now=now, rng=rng)
        return self._settle(state, candidates, key, now)

    def _settle(
        self, state: BackendState, candidates: Candidates, key: Hashable, now: float
    ) -> BackendState:
        """Return what was chosen, or another if it starts slowly and had enough."""
        choose = partial(self._choose, key=key, now=now, rng=self.rng)
        return self._ramps.settle(state, candidates, now, self.rng.random, choose)

    # -- membership and the operator's will ---------------------------------------

    def add(self, backend: Backend) -> None:
        """Add a backend, or give one that is there its new attributes."""
        self._change(lambda: self._roster.table.add(backend))

    def remove(self, url: str | Backend) -> None:
        """Remove a backend; KeyError if it is unknown."""
        self._change(lambda: self._roster.table.remove(url))

    def update(self, backends: Iterable[Backend]) -> None:
        """Make `backends` the whole list; those that stay keep their state."""
        wanted = unique(backends)
        self._change(lambda: self._roster.table.update(wanted))

    def _change(self, change: Callable[[], Difference]) -> None:
        with self._changing:
            with self._lock:
                difference = change()
                self._roster.ramp_up(difference, self._now)
            # Others go on selecting, for a moment from the members of before.
            members, tiers = self._roster.gather()
            with self._lock:
                self._roster.adopt(members, tiers)
            for state in difference.removed:
                self.announcer.note(events.BackendRemoved, state.backend)
            for state in difference.added:
                self.announcer.note(events.BackendAdded, state.backend)
            try:
                self._tell_strategy()
            finally:
                self.announcer.announce()

    def _tell_strategy(self) -> None:
        """Have the strategy build what it needs; selecting goes on meanwhile."""
        for _ in self._strategy.members_changed(self._roster.members) or ():
            self._give_way()

    def mark(self, url: str | Backend, healthy: bool | None) -> None:
        """Overrule the evidence on a backend; None gives it back its say."""
        with self._lock:
            state = self._roster.table.find(url)
            if state.marked is not healthy:
                state.marked = healthy
                self._roster.invalidate()
                self.announcer.note(events.BackendMarked, state.backend, healthy)
        self.announcer.announce()

    def drain(self, url: str | Backend, *, draining: bool) -> None:
        """Let a backend get no new requests, or again."""
        with self._lock:
            state = self._roster.table.find(url)
            if state.is_draining is not draining:
                state.is_draining = draining
                self._roster.invalidate()
                self.announcer.note(events.BackendDraining, state.backend, draining)
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
            self._accounts.settle(now)
            self._accounts.take_samples()
            wall = self.clock.wall()
            unkeyed = getattr(self._strategy, "unkeyed", 0)
            queued = 0 if self.queue is None else self.queue.count()
            develop = picture(
                self.name,
                self._roster.table,
                self._ramps,
                unkeyed=unkeyed,
                queued=queued,
                now=now,
                wall=wall,
            )
        self.announcer.announce()
        return develop()

    def in_flight(self, url: str | Backend) -> int:
        """Return the number of selections of a backend that were not released."""
        with self._lock:
            self._accounts.settle(self._now())
            return self._roster.table.find(url).in_flight

    def is_leaving(self, backend: Backend) -> bool:
        """Tell whether a backend was removed, or is drained."""
        with self._lock:
            try:
                return self._roster.table.find(backend).is_draining
            except KeyError:
                return True

    @property
    def locks(self) -> tuple[threading.RLock, ...]:
        """What whoever forks must hold, in this order."""
        return self._lock, self.announcer.lock

    def reset_after_fork(self) -> None:
        """Forget, in the child, what belongs to the parent."""
        self._lock = self._accounts.lock = threading.RLock()
        self._changing = threading.Lock()
        self._abandoned.clear()
        self.announcer.reset_after_fork()
        self.rng.seed()
        self._roster.reset_after_fork()
        if self.queue is not None:
            self.queue.reset_after_fork()
        self._detector.restart(self._now())
        self._tell_strategy()
