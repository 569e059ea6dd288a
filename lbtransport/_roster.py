"""The roster: which backends a service has, and, cached, who of them may be selected.

Selecting must not look at every backend, so the filter's answer is kept until
something changes it: membership, an outcome that changed a circuit, the operator, a
backend that became full or has room again, or an instant that passes.

Not thread-safe: the balancer's lock guards it.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING

from lbtransport._announcer import Announcer
from lbtransport._backends import BackendState, BackendTable, Difference
from lbtransport._candidates import (
    NOBODY,
    UNKNOWN,
    Tiers,
    find_selectable,
    is_usable,
    last_resorts,
    make_tiers,
    without,
)
from lbtransport._ramps import Ramps
from lbtransport._types import Backend
from lbtransport.events import PanicEntered, PanicLeft
from lbtransport.health import HealthPolicy
from lbtransport.strategies import Candidates

if TYPE_CHECKING:
    from random import Random


class Roster:
    """Members and candidates of one service.

    Attributes:
        table: All backends.
        members: Those that this balancer uses: all, or its subset; in random order.
        candidates: Those that may be selected; valid while `stale_at` lies ahead.
        on_trial: Those of them that wait for the one request of their trial.
        is_reserved: Whether what has room is for those who wait for it, see `_queue`.
        stale_at: When `refresh` must be called before `candidates` may be used.
        ramps: Who of them has only a part of its share so far.
    """

    def __init__(
        self,
        announcer: Announcer,
        *,
        zone: str | None,
        max_in_flight: float,
        subset: int | None,
        health: HealthPolicy,
        rng: Random,
        ramps: Ramps,
    ) -> None:
        """Start without backends."""
        self._announcer = announcer
        self._zone = zone
        self._max_in_flight = max_in_flight
        self._subset = subset
        self._fail_open = health.fail_open
        self._panic_threshold = health.panic_threshold
        self.ramps = ramps
        self._rng = rng
        self._identity = rng.randbytes(8)  # which part of the fleet is ours
        self.table = BackendTable()
        self.members: tuple[BackendState, ...] = ()
        self._tiers: Tiers = ()
        self.selectable = UNKNOWN
        self.candidates = NOBODY
        self.on_trial: tuple[BackendState, ...] = ()
        self.is_reserved = False
        self.stale_at = -math.inf

    def invalidate(self) -> None:
        """Have the candidates found anew before they are used next."""
        self.stale_at = -math.inf

    def refresh(self, now: float) -> None:
        """Find the candidates, if what is known of them is out of date."""
        if now < self.stale_at:
            return
        was_in_panic = self.selectable.in_panic
        self.selectable = selectable = find_selectable(
            self.members,
            self._tiers,
            now,
            max_in_flight=self._max_in_flight,
            fail_open=self._fail_open,
            panic_threshold=self._panic_threshold,
        )
        self.candidates = NOBODY if self.is_reserved else selectable.candidates
        self.on_trial = selectable.on_trial
        if selectable.in_panic is not was_in_panic:
            note = PanicEntered if selectable.in_panic else PanicLeft
            self._announcer.note(note)
        # Each outcome may change who is the most promising.
        self.stale_at = -math.inf if selectable.is_last_resort else selectable.stale_at

    def ramp_up(self, difference: Difference, clock: Callable[[], float]) -> None:
        """Let new backends begin with a small share; but of a first set all are new."""
        if 0 < len(difference.added) < len(self.table):
            now = clock()
            for state in difference.added:
                self.ramps.begin(state, now)

    def gather(self) -> tuple[tuple[BackendState, ...], Tiers]:
        """Return the members after a change of the table, and their tiers.

        It takes a while and changes nothing, so it needs no lock, as long as nobody
        else changes the table.
        """
        members = list(self.table)
        if self._subset is not None:
            members = subset_of(members, self._subset, identity=self._identity)
        # Whatever this change was: the one before it may have been interrupted.
        if set(members) == set(self.members):
            return self.members, make_tiers(self.members, zone=self._zone)
        # Shuffled, so that the clients of a fleet do not all begin with the same one.
        self._rng.shuffle(members)
        return tuple(members), make_tiers(members, zone=self._zone)

    def adopt(self, members: tuple[BackendState, ...], tiers: Tiers) -> None:
        """Select from among `members` from now on."""
        self.members, self._tiers = members, tiers
        self.invalidate()

    def untried(
        self, tried: Collection[Backend], now: float, *, against_evidence: bool
    ) -> Candidates:
        """Return the candidates left when those tried are taken away; perhaps none.

        Args:
            tried: Backends that are not to be selected.
            now: Current instant.
            against_evidence: If nobody else is left, return the most promising of those
                that look sick.
        """
        if self.is_reserved:
            return NOBODY
        for group in self.selectable.groups:
            left = without(group, tried)
            if left:
                return left
        if against_evidence and self._fail_open:
            sick = [state for state in self.members if not is_usable(state, now)]
            for state in last_resorts(sick, now):
                has_room = state.in_flight < self._max_in_flight
                if has_room and state.backend not in tried:
                    return Candidates((state,), self.members)
        return NOBODY

    def reserve(self, is_reserved: bool) -> None:
        """Show the candidates to nobody, or again, but by `find_room`."""
        self.is_reserved = is_reserved
        self.candidates = NOBODY if is_reserved else self.selectable.candidates

    def find_room(self, tried: Collection[Backend]) -> Candidates:
        """Return candidates, those tried only if there are no others; perhaps none."""
        untried = (without(group, tried) for group in self.selectable.groups)
        return next(filter(None, untried), self.selectable.candidates)

    def reset_after_fork(self) -> None:
        """Forget what is in flight, which is the parent's, and be another client."""
        self._identity = self._rng.randbytes(8)
        self.table.reset_after_fork()
        self.adopt(*self.gather())


def subset_of(
    states: Sequence[BackendState], size: int, *, identity: bytes
) -> list[BackendState]:
    """Return the part of the backends that one client of many keeps to.

    By rendezvous hashing: a change of the list moves as few as possible, and the
    clients of a fleet, each with an identity of its own, spread over all backends.

    Args:
        states: All backends.
        size: How many to keep, at least 1.
        identity: What tells this client from the others.

    References:
        gRFC A68, random subsetting; httplb's rendezvous resolver.
    """

    def rank(state: BackendState) -> bytes:
        url = state.backend.url.encode()
        return hashlib.blake2b(url, key=identity, digest_size=8).digest()

    return sorted(states, key=rank)[:size]
