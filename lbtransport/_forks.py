"""What the child of a fork inherits and cannot use as it is: it is reset there.

Locks that a thread of the parent held, connections that the parent goes on using,
counters of its requests, and the state of its random generator.
Each room says what that means for its own; here is only how it is told.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

T = TypeVar("T")

_PATIENCE = 1.0  # seconds, where the locks of a balancer are held for microseconds


def call_in_child(reset: Callable[[], object]) -> None:
    """Have `reset` called in the child of each fork, before anything else runs there.

    Of several, those are called first that were given first.
    """
    if hasattr(os, "register_at_fork"):  # pragma: no branch - Windows has no fork
        os.register_at_fork(after_in_child=reset)


class Inherited(Generic[T]):
    """Objects that are reset, each by itself, in the child of a fork; held weakly."""

    def __init__(
        self,
        reset: Callable[[T], object],
        *,
        locks_of: Callable[[T], Iterable[threading.RLock]] = lambda _one: (),
    ) -> None:
        """Know none yet.

        Args:
            reset: Called with each in the child.
            locks_of: The locks of one, outer ones first.  Whoever forks holds them
                meanwhile, so that the child never finds what another thread was half
                done with; and a finaliser that is run there before the reset, as the
                collector likes, finds locks that are its own.
        """
        self._reset = reset
        self._locks_of = locks_of
        self._known: weakref.WeakSet[T] = weakref.WeakSet()
        self._held = threading.local()  # two threads may fork at once
        if hasattr(os, "register_at_fork"):  # pragma: no branch - Windows has no fork
            os.register_at_fork(before=self._hold, after_in_parent=self._let_go)
        call_in_child(self.reset_all)

    def add(self, one: T) -> None:
        """Reset this one as well, for as long as anybody else holds it."""
        self._known.add(one)

    def reset_all(self) -> None:
        """Do what is done in the child."""
        for one in list(self._known):
            self._reset(one)

    def _hold(self) -> None:
        held = self._held.locks = []
        for one in list(self._known):
            # Not for ever: a fork that goes wrong once beats one that never comes.
            locks = self._locks_of(one)
            held.extend(lock for lock in locks if lock.acquire(timeout=_PATIENCE))

    def _let_go(self) -> None:
        for lock in reversed(self._held.locks):
            lock.release()
