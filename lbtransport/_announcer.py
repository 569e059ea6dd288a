"""Telling others what happened: subscribers, the log, and whoever waits for a change.

Events are noted under the balancer's lock and announced after it was let go, so a
subscriber may call the balancer, and a slow one holds nobody's lock.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from lbtransport import events
from lbtransport._types import Signal

_balancer_log = logging.getLogger("lbtransport.balancer")
_health_log = logging.getLogger("lbtransport.health")
_retry_log = logging.getLogger("lbtransport.retry")


class Announcer:
    """The listeners of one service.  Thread-safe.

    Attributes:
        noted: Events that `announce` is to tell.
        watchers: Signals that it is to give; whoever finds both empty need not call it.
    """

    def __init__(self, service: str) -> None:
        """Have no listeners for the events of `service` yet."""
        self._service = service
        self._lock = threading.Lock()
        self._teller: object | None = None  # set under _lock
        self._subscribers: tuple[list[Callable[[events.Event], Any]], ...] = ()
        self.watchers: list[Signal] = []  # guarded by _lock
        self.noted: deque[events.Event] = deque()

    def note(self, event: Callable[..., events.Event], *facts: object) -> None:
        """Keep an event of the service for the next `announce`; takes no lock."""
        self.noted.append(event(self._service, *facts))

    def announce(self) -> None:
        """Tell what was noted.  Not to be called under the balancer's lock."""
        while self.noted and self._take_turn():
            pass
        if self.watchers:
            with self._lock:
                watchers = self.watchers.copy()
                self.watchers.clear()
            for signal in watchers:
                signal.set()

    def _take_turn(self) -> bool:
        """Tell what was noted; False if another is at it, or oneself further up.

        One at a time, so that all hear the events in their order.
        """
        me = object()
        try:
            with self._lock:
                if self._teller is not None:
                    return False
                self._teller = me
            while self.noted:
                self._tell(self.noted.popleft())
            return True
        finally:
            if self._teller is me:
                self._teller = None

    def _tell(self, event: events.Event) -> None:
        _log(event)
        for (callback,) in self._subscribers:
            try:
                callback(event)
            except Exception:  # noqa: BLE001 - a subscriber's bug must not fail a request
                _balancer_log.exception("subscriber failed event=%r", event)

    def subscribe(self, callback: Callable[[events.Event], Any]) -> Callable[[], None]:
        """Have `callback` called with each event; return what ends that."""
        subscription = [callback]  # told apart by identity, also from one of the same
        with self._lock:
            self._subscribers = (*self._subscribers, subscription)

        def unsubscribe() -> None:
            with self._lock:
                self._subscribers = tuple(
                    other for other in self._subscribers if other is not subscription
                )

        return unsubscribe

    def watch(self) -> Signal:
        """Return a signal that is given at the next change of the service."""
        signal = Signal()
        with self._lock:
            self.watchers.append(signal)
        return signal

    def unwatch(self, signal: Signal) -> None:
        """Forget a signal that nobody waits for any more."""
        with self._lock:
            if signal in self.watchers:
                self.watchers.remove(signal)

    def reset_after_fork(self) -> None:
        """Forget, in the child, the parent's waiting threads; subscribers stay."""
        self._lock = threading.Lock()
        self._teller = None
        self.watchers.clear()
        self.noted.clear()


def _log(event: events.Event) -> None:
    match event:
        case events.BackendEjected(service, backend, reason, seconds):
            _health_log.info(
                "backend ejected service=%s backend=%s reason=%s for=%.1fs",
                service,
                backend.url,
                reason,
                seconds,
            )
        case events.BackendReturned(service, backend):
            _health_log.info(
                "backend returned service=%s backend=%s", service, backend.url
            )
        case events.BackendFailing(service, backend, reason):
            _health_log.info(
                "backend fails its checks service=%s backend=%s reason=%s",
                service,
                backend.url,
                reason,
            )
        case events.BackendRecovered(service, backend):
            _health_log.info(
                "backend passes its checks again service=%s backend=%s",
                service,
                backend.url,
            )
        case events.BackendThrottled(service, backend, seconds):
            _health_log.info(
                "backend throttled service=%s backend=%s for=%.1fs",
                service,
                backend.url,
                seconds,
            )
        case events.PanicEntered(service):
            _health_log.warning(
                "panic entered, no backend is usable, health is ignored service=%s",
                service,
            )
        case events.PanicLeft(service):
            _health_log.warning("panic left service=%s", service)
        case events.RetryBudgetExhausted(service):
            _retry_log.warning(
                "retry budget exhausted, callers get the last answer service=%s",
                service,
            )
        case events.AttemptHedged(service, backend, other, delay):
            _retry_log.debug(
                "attempt hedged service=%s backend=%s other=%s after=%.3fs",
                service,
                backend.url,
                other.url,
                delay,
            )
        case events.AttemptRetried():
            pass  # logged where it was decided, with what is known there
        case _:
            _balancer_log.info("%r", event)
