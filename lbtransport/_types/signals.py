"""A signal: set once, from any thread, and heard by whoever waits.

What waits may be a thread, an asyncio task or a trio task.
This module knows none of them: it calls back, on the setter's thread, and the driver
that waits makes of that call whatever wakes its kind.
"""

from __future__ import annotations

import threading
from collections.abc import Callable


class Signal:
    """A flag that goes up once and stays up.  Thread-safe."""

    __slots__ = ("_callbacks", "_is_set", "_lock")

    def __init__(self) -> None:
        """Make a signal that is not set."""
        # One that its owner may take again, for the collector may come in between and
        # close what gives the signal.
        self._lock = threading.RLock()
        self._is_set = False  # guarded by _lock
        self._callbacks: list[Callable[[], None]] = []  # guarded by _lock

    @property
    def is_set(self) -> bool:
        """Whether the signal was given."""
        return self._is_set

    def set(self) -> None:
        """Give the signal: each listener is called once, on this thread."""
        with self._lock:
            self._is_set = True
            callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            callback()

    def listen(self, callback: Callable[[], None]) -> None:
        """Have `callback` called at the signal, or now if it was given already."""
        with self._lock:
            if not self._is_set:
                self._callbacks.append(callback)
                return
        callback()
