"""What a service looks like: its statistics, and why nobody can be selected."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable
from dataclasses import replace

from lbtransport._backends import BackendState
from lbtransport._candidates import is_usable, returns_at
from lbtransport._latencies import percentiles
from lbtransport._ramps import Ramps
from lbtransport._types import Backend, BackendStats, ServiceStats

_RANKS = (0.5, 0.9, 0.99)
_FULL = "at max_in_flight"


def picture(
    service: str,
    states: Iterable[BackendState],
    ramps: Ramps,
    *,
    unkeyed: int,
    queued: int,
    now: float,
    wall: float,
) -> Callable[[], ServiceStats]:
    """Take a picture of a service.

    Args:
        service: Its name.
        states: Its backends.
        ramps: Who of them has only a part of its share so far.
        unkeyed: Choices without a key, of a strategy that hashes.
        now: Current instant of the monotonic clock.
        wall: The same instant on the wall clock.
        queued: How many wait for room.

    Returns:
        What develops it: computing percentiles needs no lock.
    """
    states = list(states)
    everything = sum(state.total for state in states)
    taken = [
        replace(
            _backend(state, everything, now=now, wall=wall),
            slow_start=ramps.share(state, now),
        )
        for state in states
    ]
    latencies = [state.latencies.counts(now) for state in states]

    def develop() -> ServiceStats:
        together = Counter[int]()
        backends = []
        for backend, counts in zip(taken, latencies, strict=True):
            together.update(counts)
            p50, p90, p99 = percentiles(counts, _RANKS)
            backends.append(replace(backend, p50=p50, p90=p90, p99=p99))
        p50, p90, p99 = percentiles(together, _RANKS)
        return ServiceStats(
            service, tuple(backends), p50, p90, p99, unkeyed=unkeyed, queued=queued
        )

    return develop


def _backend(
    state: BackendState, everything: int, *, now: float, wall: float
) -> BackendStats:
    used_at = state.last_used_at
    return BackendStats(
        backend=state.backend,
        in_flight=state.in_flight,
        waiting=state.waiting,
        total=state.total,
        failures=state.failures,
        latency=state.latency,
        healthy=is_healthy(state),
        state=state_of(state, now),
        returns_in=_returns_in(state, now),
        last_used=None if used_at is None else wall - (now - used_at),
        share=state.total / everything if everything else 0.0,
        checked=state.checked,
    )


def is_healthy(state: BackendState) -> bool:
    """Tell whether neither the operator's mark nor the evidence speaks against it."""
    if state.marked is not None:
        return state.marked
    return state.circuit.is_closed and state.checked is not False


def state_of(state: BackendState, now: float) -> str:
    """Return the state's name; see `BackendStats.state`."""
    if state.is_draining:
        return "draining"
    if state.marked is not None:
        return "marked_healthy" if state.marked else "marked_unhealthy"
    if state.checked is False:
        return "failing_checks"
    if not state.circuit.is_closed:
        return "half_open" if state.circuit.is_half_open(now) else "ejected"
    return "throttled" if now < state.throttled_until else "closed"


def why_nobody(
    service: str,
    states: Collection[BackendState],
    tried: Collection[Backend],
    now: float,
) -> str:
    """Say why no backend of a service can be selected, and what to do."""
    if not states:
        return (
            f"no backend of {service!r} can be selected: it has none; "
            f"see add_backend() and update_backends()"
        )
    counts: dict[str, int] = {}
    for state in states:
        if state.backend in tried:
            reason = "already tried"
        elif is_usable(state, now):
            reason = _FULL
        else:
            reason = state_of(state, now).replace("_", " ")
        counts[reason] = counts.get(reason, 0) + 1
    found = ", ".join(
        f"{n} of {len(states)} {reason}" for reason, n in sorted(counts.items())
    )
    returns = [returns_at(state) - now for state in states if not is_usable(state, now)]
    soonest = min(returns, default=float("inf"))
    hint = f", the first returns in {soonest:.1f} s" if soonest < float("inf") else ""
    if _FULL in counts:
        hint += "; raise max_in_flight, or let requests wait by max_queued"
    return f"no backend of {service!r} can be selected: {found}{hint}; see stats()"


def _returns_in(state: BackendState, now: float) -> float | None:
    if state_of(state, now) not in {"ejected", "half_open", "throttled"}:
        return None
    instant = returns_at(state)
    return None if instant == float("inf") else max(0.0, instant - now)
