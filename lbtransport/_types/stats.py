"""Pictures of a service at one instant.

They are copies: nothing in them moves after `stats()` returned.
"""

from __future__ import annotations

from dataclasses import dataclass

from lbtransport._types.backend import Backend


@dataclass(frozen=True, slots=True)
class BackendStats:
    """One backend at one instant.

    Attributes:
        backend: Which one.
        in_flight: Selections that were not released yet.
        waiting: Those of them that have no headers yet.
        total: Selections since the backend was added.
        failures: Outcomes that spoke against its health, since it was added.
        latency: Recent average from select to headers, in seconds; None before the
            first.
        healthy: Whether it may be selected, as far as its health goes.
        state: ``"closed"`` (in rotation), ``"ejected"``, ``"half_open"`` (the next
            request is its trial), ``"throttled"`` (it asked to be left alone),
            ``"failing_checks"`` (its active checks take it out), ``"draining"``,
            ``"marked_unhealthy"`` or ``"marked_healthy"``.
        returns_in: Seconds until an ejected or throttled one may be tried again; None
            for the others.
        last_used: Wall clock of the last selection, seconds since the epoch; None
            before the first.
        share: Part of the service's selections that it took, 0 to 1.
        slow_start: Part of its share that a new or returning backend may have so far,
            0.1 to 1; 1 for all others.
        p50: Median latency of the last one to two minutes, in seconds and within five
            percent; None if there was none.
        p90: The 90th percentile, likewise.
        p99: The 99th percentile, likewise.
        checked: What its active checks say; None if there are none, or too few yet.
    """

    backend: Backend
    in_flight: int
    waiting: int
    total: int
    failures: int
    latency: float | None
    healthy: bool
    state: str
    returns_in: float | None
    last_used: float | None
    share: float
    slow_start: float = 1.0
    p50: float | None = None
    p90: float | None = None
    p99: float | None = None
    checked: bool | None = None


@dataclass(frozen=True, slots=True)
class ServiceStats:
    """One service at one instant.

    Attributes:
        name: The service's.
        backends: In the order in which they were added.
        p50: Median latency of all of them together, as in `BackendStats`.
        p90: The 90th percentile, likewise.
        p99: The 99th percentile, likewise.
        unkeyed: Selections that a strategy which hashes made without a key; 0 for the
            other strategies.
        queued: Requests that wait until a backend has room; they are in flight nowhere.
    """

    name: str
    backends: tuple[BackendStats, ...]
    p50: float | None = None
    p90: float | None = None
    p99: float | None = None
    unkeyed: int = 0
    queued: int = 0
