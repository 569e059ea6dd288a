"""A small pool of threads for functions that block: checks, and the name resolution.

Not `concurrent.futures`: its threads are waited for when the interpreter exits, so one
stuck function would keep a program from ending.
And a stuck one must hold up no other: it may be written off, and its place in the pool
is then another's.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from lbtransport._forks import call_in_child
from lbtransport._types import Signal

_SIZE = 8  # threads at a time, those written off not counted


class ThreadCall:
    """One call of a function in a thread.

    Attributes:
        started: Given when a thread begins with it.
        ended: Given when it returned or raised.
    """

    def __init__(
        self, pool: ThreadPool, function: Callable[..., Any], arguments: tuple[Any, ...]
    ) -> None:
        """Wait to be started by `pool`."""
        self._pool = pool
        self._function = function
        self._arguments = arguments
        self._result: Any = None
        self._error: BaseException | None = None
        self.started = Signal()
        self.ended = Signal()

    def run(self) -> None:
        """Call the function, in the thread."""
        self.started.set()
        try:
            self._result = self._function(*self._arguments)
        except BaseException as error:  # noqa: BLE001 - sys.exit() ends no thread of ours
            self._error = error
        # Given by `ThreadPool`, once the thread is another's.

    def result(self) -> Any:
        """Return what the function returned, or raise what it raised."""
        if self._error is None:
            return self._result
        if isinstance(self._error, Exception):
            raise self._error
        raise RuntimeError(f"{type(self._error).__name__} in a thread") from self._error

    def write_off(self) -> None:
        """Wait for it no more: it is not begun, or its place becomes free."""
        self._pool.write_off(self)


class ThreadPool:
    """Threads that are there only while something is to be done.  Thread-safe."""

    def __init__(self) -> None:
        """Be idle."""
        self.reset()

    def reset(self) -> None:
        """Forget all, in the child of a fork, where the parent's threads are not."""
        self._lock = threading.Lock()
        self._waiting: deque[ThreadCall] = deque()  # guarded by _lock
        self._running: set[ThreadCall] = set()  # guarded by _lock

    def call(self, function: Callable[..., Any], *arguments: Any) -> ThreadCall:
        """Have a function called as soon as a thread is free."""
        call = ThreadCall(self, function, arguments)
        with self._lock:
            self._waiting.append(call)
        self._fill()
        return call

    def write_off(self, call: ThreadCall) -> None:
        """Take a call out, begun or not."""
        with self._lock:
            self._running.discard(call)
            if call in self._waiting:
                self._waiting.remove(call)
        self._fill()

    def _fill(self) -> None:
        """Give each free place to one that waits."""
        with self._lock:
            while self._waiting and len(self._running) < _SIZE:
                call = self._waiting.popleft()
                self._running.add(call)
                threading.Thread(
                    target=self._run, args=(call,), name="lbtransport-call", daemon=True
                ).start()

    def _run(self, call: ThreadCall) -> None:
        next_call: ThreadCall | None = call
        while next_call is not None:
            call = next_call
            call.run()
            next_call = self._next(call)
            call.ended.set()

    def _next(self, call: ThreadCall) -> ThreadCall | None:
        """Return what the thread of a call does next; None if it is needed no more."""
        with self._lock:
            if call not in self._running:  # written off: its place is another's
                return None
            self._running.remove(call)
            if not self._waiting:
                return None
            following = self._waiting.popleft()
            self._running.add(following)
            return following


threads = ThreadPool()
"""The one of this process."""

call_in_child(threads.reset)
