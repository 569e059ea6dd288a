"""The table of a service's backends, and the state of each that survives every update.

Discovery replaces the list again and again.
A backend whose URL is still in it keeps its counters, its circuit and what its
strategy knows of it; only its attributes (weight, zone, headers) become the new ones.

Not thread-safe: the balancer's lock guards it.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Iterator
from contextlib import suppress
from copy import copy
from dataclasses import dataclass
from typing import Any

from lbtransport._errors import ConfigurationError
from lbtransport._latencies import Latencies
from lbtransport._types import Backend
from lbtransport.health.circuit import Circuit

logger = logging.getLogger("lbtransport.balancer")


class BackendState:
    """What is known of one backend; also a strategy's `Member`."""

    __slots__ = (
        "backend",
        "checked",
        "circuit",
        "failures",
        "in_flight",
        "is_draining",
        "is_removed",
        "is_suspect",
        "last_used_at",
        "latencies",
        "latency",
        "marked",
        "misses",
        "ramps_from",
        "strategy_state",
        "throttled_until",
        "total",
        "waiting",
    )

    def __init__(self, backend: Backend) -> None:
        """Start idle, healthy and unknown."""
        self.backend = backend
        self.circuit = Circuit()
        self.in_flight = 0
        self.waiting = 0
        self.total = 0
        self.failures = 0
        self.misses = 0  # released, and no success
        self.latency: float | None = None
        self.latencies = Latencies()
        self.last_used_at: float | None = None
        self.throttled_until = -math.inf
        self.checked: bool | None = None  # what its active checks say; None: nothing
        self.ramps_from = -math.inf  # when its slow start began
        self.marked: bool | None = None  # the operator's word; None: the evidence's
        self.is_draining = False
        self.is_removed = False
        # Failed since its last success; of all others the circuit needs no look, which
        # spares each request the memory of a second object.
        self.is_suspect = False
        self.strategy_state: Any = None

    @property
    def successes(self) -> int:
        """Number of selections that ended well: a difference, so nobody counts them."""
        return self.total - self.in_flight - self.misses

    def idle_copy(self) -> BackendState:
        """Return the same state with nothing in flight, for the child of a fork.

        The parent's selections hold on to the original, which counts as removed, so
        what they come to in the child says nothing here.
        """
        idle = BackendState(self.backend)
        for name in self.__slots__:
            setattr(idle, name, getattr(self, name))
        idle.in_flight = idle.waiting = 0
        idle.circuit.trial = 0
        with suppress(Exception):  # what cannot be copied is shared
            idle.strategy_state = copy(self.strategy_state)
        self.is_removed = True
        return idle


@dataclass(frozen=True, slots=True)
class Difference:
    """What an update changed in the table."""

    added: tuple[BackendState, ...] = ()
    removed: tuple[BackendState, ...] = ()


class BackendTable:
    """The backends of one service, in the order in which they were added."""

    def __init__(self) -> None:
        """Start empty."""
        self._states: dict[str, BackendState] = {}

    def __iter__(self) -> Iterator[BackendState]:
        """Iterate over the states, oldest first."""
        return iter(self._states.values())

    def __len__(self) -> int:
        """Return the number of backends."""
        return len(self._states)

    def find(self, url: str | Backend) -> BackendState:
        """Return the state of a backend.

        Raises:
            KeyError: If no backend has this URL.
        """
        key = url.url if isinstance(url, Backend) else _normalised(url)
        try:
            return self._states[key]
        except KeyError:
            raise KeyError(
                f"{key!r} is no backend here; the backends are: "
                f"{', '.join(self._states) or 'none'}"
            ) from None

    def add(self, backend: Backend) -> Difference:
        """Add a backend, or give one that is there its new attributes."""
        added: list[BackendState] = []
        self._put(backend, added)
        return Difference(added=tuple(added))

    def remove(self, url: str | Backend) -> Difference:
        """Remove a backend.

        Raises:
            KeyError: If no backend has this URL.
        """
        state = self.find(url)
        del self._states[state.backend.url]
        state.is_removed = True
        return Difference(removed=(state,))

    def update(self, backends: Iterable[Backend]) -> Difference:
        """Make `backends` the whole table; those that stay keep their state."""
        wanted = {backend.url: backend for backend in backends}
        removed = tuple(
            state for url, state in self._states.items() if url not in wanted
        )
        for state in removed:
            del self._states[state.backend.url]
            state.is_removed = True
        added: list[BackendState] = []
        for backend in wanted.values():
            self._put(backend, added)
        return Difference(tuple(added), removed)

    def _put(self, backend: Backend, added: list[BackendState]) -> None:
        state = self._states.get(backend.url)
        if state is None:
            state = self._states[backend.url] = BackendState(backend)
            added.append(state)
        else:
            state.backend = backend

    def reset_after_fork(self) -> None:
        """Forget what is in flight: it belongs to the parent."""
        self._states = {url: state.idle_copy() for url, state in self._states.items()}


def unique(backends: Iterable[Backend]) -> list[Backend]:
    """Return each backend once; of the same URL twice, the last one counts."""
    found: dict[str, Backend] = {}
    repeated: list[str] = []
    for backend in backends:
        if backend.url in found:
            repeated.append(backend.url)
        found[backend.url] = backend
    if repeated:
        logger.warning(
            "backend listed more than once, its last attributes count backends=%s",
            ", ".join(sorted(set(repeated))),
        )
    return list(found.values())


def _normalised(url: str) -> str:
    try:
        return Backend(url).url
    except ConfigurationError as error:
        raise KeyError(str(error)) from None
