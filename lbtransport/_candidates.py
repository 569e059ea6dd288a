"""Who may be selected now: the balancer's filter, as functions of the states.

A backend is *usable* if neither its operator nor the evidence speaks against it.
Of the usable ones that have room, the candidates are those of the first tier: weight
above 0 before weight 0, then the lowest priority, then the caller's own zone.
Further tiers serve retries, and overflow when the first one is full.

Tiers follow from what the backends are, so they are made when the list changes; who is
usable changes at any time, and is asked under the balancer's lock.

Not here: the choice among candidates, which is the strategy's.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

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
        on_trial: Those whose circuit does; no more than one request each.
        ejected: Number of backends whose circuit is not closed.
        in_panic: Whether health was ignored because too few backends are usable.
        is_last_resort: Whether none is, so that the candidates are those against which
            only their checks speak, or the most promising one of those that look sick.
        stale_at: Instant at which the passing of time alone changes the answer.
    """

    groups: tuple[Candidates, ...]
    usable: int
    in_rotation: int
    on_trial: tuple[BackendState, ...]
    ejected: int
    in_panic: bool
    is_last_resort: bool
    stale_at: float

    @property
    def is_full(self) -> bool:
        """Whether nothing but room is missing."""
        return not self.groups and (self.usable > 0 or self.in_panic)

    @property
    def candidates(self) -> Candidates:
        """The group that a first attempt is sent to."""
        return self.groups[0] if self.groups else NOBODY


NOBODY = Candidates(())
UNKNOWN = Selectable(
    (), 0, 0, (), 0, in_panic=False, is_last_resort=False, stale_at=-math.inf
)


Tiers: TypeAlias = Sequence[Sequence[BackendState]]


def make_tiers(members: Iterable[BackendState], *, zone: str | None) -> Tiers:
    """Return the backends in order of preference, those alike together.

    Args:
        members: All backends of the service.
        zone: The caller's own; None if all are the same to him.
    """
    tiers: dict[tuple[bool, int, bool], list[BackendState]] = {}
    for state in members:
        backend = state.backend
        is_far = zone is not None and backend.zone != zone
        rank = (backend.weight == 0, backend.priority, is_far)
        tiers.setdefault(rank, []).append(state)
    return [tiers[rank] for rank in sorted(tiers)]


def find_selectable(
    members: Sequence[BackendState],
    tiers: Tiers,
    now: float,
    *,
    max_in_flight: float,
    fail_open: bool,
    panic_threshold: float = 0.0,
) -> Selectable:
    """Return who may be selected at `now`.

    Args:
        members: All backends of the service.
        tiers: The same, in order of preference.
        now: Current instant.
        max_in_flight: Room of one backend; infinity if it is not limited.
        fail_open: Whether to ignore health when no backend is usable.
        panic_threshold: Part of the backends that are not drained; while fewer are
            usable, health is ignored.
    """
    groups = [[state for state in tier if is_usable(state, now)] for tier in tiers]
    usable = sum(map(len, groups))
    stale_at = math.inf
    if usable < len(members):
        stale_at = min(
            returns_at(state) for state in members if not is_usable(state, now)
        )
    in_panic = is_last_resort = False
    here = sum(not one.is_draining for one in members) if panic_threshold else 0
    if usable < panic_threshold * here:
        groups = [[one for one in tier if serves_in_panic(one, now)] for tier in tiers]
        in_panic = any(groups)
    if not any(groups) and fail_open:
        groups = [[one for one in tier if only_checks_fail(one, now)] for tier in tiers]
        in_panic = is_last_resort = any(groups)
    if not any(groups) and fail_open:
        # One at a time, so that each panicking request learns from the one before.
        sick = last_resorts(members, now)
        groups = [[state for state in sick if state.in_flight < max_in_flight][:1]]
        in_panic = is_last_resort = bool(sick)
    ejected = [one for one in members if one.circuit.ejected_until is not None]
    on_trial = [one for one in ejected if not one.marked and is_usable(one, now)]
    with_room = (
        [state for state in group if state.in_flight < max_in_flight]
        for group in groups
    )
    return Selectable(
        groups=tuple(Candidates(group, members) for group in with_room if group),
        usable=usable,
        in_rotation=usable - len(on_trial),
        on_trial=tuple(on_trial),
        ejected=len(ejected),
        in_panic=in_panic,
        is_last_resort=is_last_resort,
        stale_at=stale_at,
    )


def is_usable(state: BackendState, now: float) -> bool:
    """Tell whether neither the operator nor the evidence speaks against a backend."""
    if state.is_draining:
        return False
    if state.marked is not None:
        return state.marked
    if state.checked is False or now < state.throttled_until:
        return False
    circuit = state.circuit
    return circuit.is_closed or (circuit.is_half_open(now) and not circuit.trial)


def serves_in_panic(state: BackendState, now: float) -> bool:
    """Tell whether a backend is to be used when the evidence is ignored.

    What the operator said holds, and who asked to be left alone for a while is not
    sick: more requests would only make the while longer.
    """
    if state.is_draining:
        return False
    if state.marked is not None:
        return state.marked
    return now >= state.throttled_until


def only_checks_fail(state: BackendState, now: float) -> bool:
    """Tell whether nothing speaks against a backend but its active checks.

    Where they speak against all, and requests succeed, it is the checks that are wrong
    (their path, say): then one backend must not get what was meant for all.
    """
    if state.is_draining or state.marked is not None or state.is_suspect:
        return False
    return state.circuit.is_closed and now >= state.throttled_until


def returns_at(state: BackendState) -> float:
    """Return when time alone makes an unusable backend usable; infinity if never."""
    if state.is_draining or state.marked is not None or state.circuit.trial:
        return math.inf
    if state.checked is False:  # only a check ends that
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
