"""Who may be selected now: the balancer's filter, as functions of the states.

A backend is *usable* if neither its operator nor the evidence speaks against it.
Of the usable ones that have room, the candidates are those of the first group: weight
above 0 before weight 0, then the lowest priority, then the caller's own zone.
Further groups serve retries, and overflow when the first one is full.

Not here: the choice among candidates, which is the strategy's.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from lbtransport._backends import BackendState
from lbtransport._types import Backend
from lbtransport.strategies import Candidates


@dataclass(frozen=True, slots=True)
class Selectable:
    """The answer of the filter at one instant.

    Attributes:
        groups: Candidates in order of preference; none of them is empty.
        usable: Number of usable backends, those without room included.
        in_rotation: Number of those whose circuit does not wait for a trial.
        ejected: Number of backends whose circuit is not closed.
        in_panic: Whether health was ignored because no backend is usable.
        stale_at: Instant at which the passing of time alone changes the answer.
    """

    groups: tuple[Candidates, ...]
    usable: int
    in_rotation: int
    ejected: int
    in_panic: bool
    stale_at: float

    @property
    def candidates(self) -> Candidates:
        """The group that a first attempt is sent to."""
        return self.groups[0] if self.groups else NOBODY


NOBODY = Candidates(())
UNKNOWN = Selectable((), 0, 0, 0, in_panic=False, stale_at=-math.inf)


def find_selectable(
    members: Sequence[BackendState],
    now: float,
    *,
    zone: str | None,
    max_in_flight: float,
    fail_open: bool,
) -> Selectable:
    """Return who may be selected at `now`.

    Args:
        members: All backends of the service.
        now: Current instant.
        zone: The caller's own; None if all are the same to him.
        max_in_flight: Room of one backend; infinity if it is not limited.
        fail_open: Whether to ignore health when no backend is usable.
    """
    usable: list[BackendState] = []
    stale_at = math.inf
    for state in members:
        if is_usable(state, now):
            usable.append(state)
        else:
            stale_at = min(stale_at, returns_at(state))
    in_panic = False
    if not usable and fail_open:
        # One at a time, so that each panicking request learns from the one before.
        sick = last_resorts(members, now)
        usable = [state for state in sick if state.in_flight < max_in_flight][:1]
        in_panic = bool(sick)
    groups: dict[tuple[bool, int, bool], list[BackendState]] = {}
    for state in usable:
        if state.in_flight < max_in_flight:
            backend = state.backend
            is_far = zone is not None and backend.zone != zone
            group = (backend.weight == 0, backend.priority, is_far)
            groups.setdefault(group, []).append(state)
    return Selectable(
        groups=tuple(Candidates(groups[group], members) for group in sorted(groups)),
        usable=0 if in_panic else len(usable),
        in_rotation=sum(state.marked or state.circuit.is_closed for state in usable),
        ejected=sum(not state.circuit.is_closed for state in members),
        in_panic=in_panic,
        stale_at=stale_at,
    )


def is_usable(state: BackendState, now: float) -> bool:
    """Tell whether neither the operator nor the evidence speaks against a backend."""
    if state.is_draining:
        return False
    if state.marked is not None:
        return state.marked
    if now < state.throttled_until:
        return False
    circuit = state.circuit
    return circuit.is_closed or (circuit.is_half_open(now) and not circuit.trial)


def returns_at(state: BackendState) -> float:
    """Return when time alone makes an unusable backend usable; infinity if never."""
    if state.is_draining or state.marked is not None or state.circuit.trial:
        return math.inf
    return max(state.throttled_until, state.circuit.ejected_until or -math.inf)


def last_resorts(members: Iterable[BackendState], now: float) -> list[BackendState]:
    """Return the backends to try against the evidence, the most promising first.

    Those that asked to be left alone by when they return, then the others by how long
    ago they failed last.
    What its operator drains is not among them.
    """

    def promise(state: BackendState) -> tuple[bool, float, float]:
        wait = max(0.0, state.throttled_until - now)
        return state.marked is False, wait, state.circuit.last_failed_at

    return sorted((state for state in members if not state.is_draining), key=promise)


def without(candidates: Candidates, tried: Collection[Backend]) -> Candidates:
    """Return the candidates that were not tried yet."""
    untried = [state for state in candidates if state.backend not in tried]
    if len(untried) == len(candidates):
        return candidates
    return Candidates(untried, candidates.members)
