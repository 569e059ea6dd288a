"""Pools: the inner transports, how long each is used, and when it is closed.

There is one inner transport for each backend and TLS name.
A shared one would be wrong (a connection verified for one name would serve another,
because SNI is no part of httpcore's connection identity) and slow (its pool looks at
every connection at each request, and keeps only twenty of all backends alive).

One that is retired gets no new request, and is closed when the last response ended that
came from it:

    its backend left the service
    it is older than its connections may become
    it says that all connections are taken, and we count fewer

Who closes it, and why not its finaliser: see `bodies` on `litter`.
"""

from __future__ import annotations

import math
import threading
import weakref
from collections.abc import Callable
from typing import Any

from lbtransport._httpx_family.bodies import Litter
from lbtransport._httpx_family.streams import limit_transport
from lbtransport._types import Backend

# What a child of a fork must neither use nor close.
parents: list[object] = []


class Pool:
    """An inner transport: who uses it holds it, and the last one leaves it to close.

    Attributes:
        transport: The inner transport.
        litter: Where it is left.
        open: The requests that have a connection of it or wait for one, in the order
            in which they came; without those whose response was dropped.
        retires_at: Instant from which on it gets no request; None if there is none.
        is_left: Whether it is closed, or soon will be; where somebody still uses it,
            that is what the caller wanted.
    """

    __slots__ = (
        "__weakref__",
        "_max_connections",
        "is_left",
        "litter",
        "open",
        "retires_at",
        "transport",
    )

    def __init__(
        self,
        transport: Any,
        litter: Litter,
        *,
        max_connections: float,
        retires_at: float | None,
    ) -> None:
        """Hold `transport`, and leave it in `litter` in the end."""
        self.transport = transport
        self.litter = litter
        self._max_connections = max_connections
        self.open: dict[Any, None] = {}  # each use of it is one step: it needs no lock
        self.retires_at = retires_at
        self.is_left = False

    def is_retired(self, now: float) -> bool:
        """Tell whether it gets no request any more."""
        return self.retires_at is not None and self.retires_at <= now

    def is_to_blame(self, request: Any, now: float) -> bool:
        """Tell whether a request that got no connection should have had one.

        Then the pool is retired, for good: httpcore 1.0.9 loses a connection if the
        request that it was assigned to gives up in that moment (encode/httpcore#1093).

        The first come are the first served.
        So who came later has nothing that this request could have had; and who came
        earlier and is still there has a connection, for with the same timeout he would
        have given up by now.

        Args:
            request: The request that waited in vain.
            now: This instant, on its balancer's clock.
        """
        if not self.is_retired(now):
            taken = list(self.open).index(request)
            if taken >= self._max_connections:
                return False
            self.retires_at = -math.inf
        return True

    def leave(self) -> None:
        """Leave the transport to be closed; the second time does nothing."""
        self.retires_at = -math.inf
        if not self.is_left:
            self.is_left = True
            self.litter.drop(self.transport)

    def __del__(self) -> None:
        """Leave the transport to the next request."""
        self.leave()


class Pools:
    """The pools of one of our transports.  Thread-safe.

    Attributes:
        litter: What is to be closed.
    """

    def __init__(
        self,
        make_transport: Callable[[Backend], Any],
        *,
        max_connections: float,
        max_connection_age: float | None,
        is_async: bool,
    ) -> None:
        """Make inner transports with `make_transport`, when they are needed.

        Args:
            make_transport: Makes that of a backend.
            max_connections: How many connections each has, at least.
            max_connection_age: Seconds until a connection gets no more requests; None
                if that never comes.
            is_async: Whether only their own loop may close them.
        """
        self._make_transport = make_transport
        self._max_connections = max_connections
        self._max_connection_age = max_connection_age
        self._is_async = is_async
        self.litter = Litter()
        self._lock = threading.Lock()
        self._pools: dict[tuple[str, str | None], Pool] = {}  # guarded by _lock
        self._alive: weakref.WeakSet[Pool] = weakref.WeakSet()  # retired ones, too

    def find(
        self, backend: Backend, tls_name: str | None, now: float
    ) -> tuple[Pool, Pool | None]:
        """Return the pool of a backend, and the retired one that it stands in for.

        Args:
            backend: The backend.
            tls_name: The name that its certificate must carry; None for its own.
            now: This instant, on its balancer's clock.
        """
        key = (backend.url, tls_name)
        old = self._pools.get(key)
        if old is not None and not old.is_retired(now):
            return old, None
        age = self._max_connection_age
        retires_at = None if age is None else now + age
        # Not under the lock: a factory of the user's may do whatever it likes.
        transport = self._make_transport(backend)
        if not self._is_async:
            limit_transport(transport)
        if old is not None and transport is old.transport:
            old.retires_at = retires_at  # his factory has but this one
            return old, None
        most = self._max_connections
        made = Pool(transport, self.litter, max_connections=most, retires_at=retires_at)
        with self._lock:
            pool = self._pools.get(key)
            if pool is None or pool is old:
                pool = self._pools[key] = made
            self._alive.add(pool)
        return pool, old

    def retire(self, backend: Backend) -> None:
        """Forget a backend's pools."""
        with self._lock:
            keys = [key for key in self._pools if key[0] == backend.url]
            dropped = [self._pools.pop(key) for key in keys]
        del dropped  # outside the lock: this may be the last reference
        if not self._is_async:
            self.litter.sweep()

    def clear(self) -> None:
        """Forget all pools; leave their transports, used or not, to be closed."""
        with self._lock:
            pools = list(self._alive)
            self._pools.clear()
        for pool in pools:
            pool.leave()

    def abandon_after_fork(self) -> None:
        """Leave the parent's connections alone: closing them would speak on them."""
        self._lock = threading.Lock()
        # What is in use leaves its stream, one day, in the old litter.
        parents.extend([*self._alive, self.litter])
        self.litter.is_foreign = True
        self._alive = weakref.WeakSet()
        self._pools = {}
        self.litter = Litter()
