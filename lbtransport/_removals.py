"""Telling the adapters that a backend leaves its service, so that they close up to it.

It does when it is removed, and when it is drained.

Clients come and go, by the request in some programs, and balancers stay.
So a balancer has one subscription for all adapters, which keeps none of them alive.
"""

from __future__ import annotations

import functools
import threading
import weakref
from typing import Protocol

from lbtransport._forks import call_in_child
from lbtransport._types import Backend
from lbtransport.events import BackendDraining, BackendRemoved, Event
from lbtransport.load_balancer import LoadBalancer


class Keeper(Protocol):
    """Who keeps connections to backends."""

    def retire(self, backend: Backend) -> None:
        """Let go of the connections to a backend once nothing uses them."""
        ...


class Removals:
    """Who wants to know that a backend was removed.  Thread-safe."""

    def __init__(self) -> None:
        """Watch nothing."""
        self._lock = threading.Lock()
        self._keepers: weakref.WeakKeyDictionary[
            LoadBalancer, weakref.WeakSet[Keeper]
        ] = weakref.WeakKeyDictionary()  # guarded by _lock, but for a first look

    def watch(self, balancer: LoadBalancer, keeper: Keeper) -> None:
        """Have `keeper` retire what leaves `balancer`."""
        keepers = self._keepers.get(balancer)
        if keepers is not None and keeper in keepers:
            return
        with self._lock:
            keepers = self._keepers.get(balancer)
            if keepers is None:
                keepers = self._keepers[balancer] = weakref.WeakSet()
                balancer.subscribe(functools.partial(self._tell, keepers))
            keepers.add(keeper)

    def _tell(self, keepers: weakref.WeakSet[Keeper], event: Event) -> None:
        match event:
            case BackendRemoved(_, backend) | BackendDraining(_, backend, True):
                with self._lock:  # nobody may join while they are counted
                    concerned = list(keepers)
                for keeper in concerned:
                    keeper.retire(backend)

    def reset_after_fork(self) -> None:
        """Take a new lock in the child: a thread of the parent may hold the old one."""
        self._lock = threading.Lock()


removals = Removals()

call_in_child(removals.reset_after_fork)
