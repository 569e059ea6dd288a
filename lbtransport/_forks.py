"""What the child of a fork inherits and cannot use as it is: it is reset there.

Locks that a thread of the parent held, connections that the parent goes on using,
counters of its requests, and the state of its random generator.
Each room says what that means for its own; here is only how it is told.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


def call_in_child(reset: Callable[[], object]) -> None:
    """Have `reset` called in the child of each fork, before anything else runs there.

    Of several, those are called first that were given first.
    """
    if hasattr(os, "register_at_fork"):  # pragma: no branch - Windows has no fork
        os.register_at_fork(after_in_child=reset)


class Inherited(Generic[T]):
    """Objects that are reset, each by itself, in the child of a fork; held weakly."""

    def __init__(self, reset: Callable[[T], object]) -> None:
        """Know none yet; `reset` is called with each."""
        self._reset = reset
        self._known: weakref.WeakSet[T] = weakref.WeakSet()
        call_in_child(self.reset_all)

    def add(self, one: T) -> None:
        """Reset this one as well, for as long as anybody else holds it."""
        self._known.add(one)

    def reset_all(self) -> None:
        """Do what is done in the child."""
        for one in list(self._known):
            self._reset(one)
