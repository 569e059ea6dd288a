"""Telling others what happened: subscribers, the log, and whoever waits for a change.

Events are noted under the balancer's lock and announced after it was let go, so a
subscriber may call the balancer, and a slow one holds nobody's lock.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import fields
from typing import Any

from lbtransport import events
from lbtransport._types import Signal

_balancer_log = logging.getLogger("lbtransport.balancer")
_health_log = logging.getLogger("lbtransport.health")
_retry_log = logging.getLogger("lbtransport.retry")


class Announcer:
    """The listeners of one service.  Thread-safe.

    Attributes:
        lock: One that its owner may take again.
        noted: Events that `announce` is to tell.
        watchers: Signals that it is to give; whoever finds both empty need not call it.
    """

    def __init__(self, service: str) -> None:
        """Have no listeners for the events of `service` yet."""
        self._service = service
        # The collector may close a response here, while it is held.
        self.lock = threading.RLock()
        self._teller: object | None = None  # set under lock
        self._subscribers: tuple[list[Callable[[events.Event], Any]], ...] = ()
        self.watchers: list[Signal] = []  # guarded by lock
        self.noted: deque[events.Event] = deque()

    def note(self, event: Callable[..., events.Event], *facts: object) -> None:
        """Keep an event of the service for the next `announce`; takes no lock."""
        self.noted.append(event(self._service, *facts))

    def announce(self) -> None:
        """Tell what was noted.  Not to be called under the balancer's lock."""
        while self.noted and self._take_turn():
            pass
        for signal in self.watchers.copy():
            signal.set()  # first: whoever is interrupted here leaves it to the next
            self.unwatch(signal)

    def _take_turn(self) -> bool:
        """Tell what was noted; False if another is at it, or oneself further up.

        One at a time, so that all hear the events in their order.
        """
        me = object()
        try:
            with self.lock:
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
        with self.lock:
            self._subscribers = (*self._subscribers, subscription)

        def unsubscribe() -> None:
            with self.lock:
                self._subscribers = tuple(
                    other for other in self._subscribers if other is not subscription
                )

        return unsubscribe

    def watch(self) -> Signal:
        """Return a signal that is given at the next change of the service."""
        signal = Signal()
        with self.lock:
            self.watchers.append(signal)
        return signal

    def unwatch(self, signal: Signal) -> None:
        """Forget a signal that nobody waits for any more."""
        with self.lock:
            if signal in self.watchers:
                self.watchers.remove(signal)

    def reset_after_fork(self) -> None:
        """Forget, in the child, the parent's waiting threads; subscribers stay."""
        self.lock = threading.RLock()
        self._teller = None
        self.watchers.clear()
        self.noted.clear()


_DISTRUST = (
    "certificates refused, of half of the backends or more, which blames none of them; "
    "see the client's authorities, and tls_name service=%s backend=%s"
)

# How events are logged, their fields in order: to whom, how loudly, in which words.
_MESSAGES = {
    events.BackendAdded: (
        _balancer_log,
        logging.INFO,
        "backend added service=%s backend=%s",
    ),
    events.BackendRemoved: (
        _balancer_log,
        logging.INFO,
        "backend removed service=%s backend=%s",
    ),
    events.BackendMarked: (
        _balancer_log,
        logging.INFO,
        "backend marked by the operator service=%s backend=%s healthy=%s",
    ),
    events.BackendDraining: (
        _balancer_log,
        logging.INFO,
        "backend drained by the operator service=%s backend=%s draining=%s",
    ),
    events.BackendEjected: (
        _health_log,
        logging.INFO,
        "backend ejected service=%s backend=%s reason=%s for=%.1fs",
    ),
    events.BackendReturned: (
        _health_log,
        logging.INFO,
        "backend returned service=%s backend=%s",
    ),
    events.BackendOnTrial: (
        _health_log,
        logging.DEBUG,
        "backend on trial service=%s backend=%s",
    ),
    events.BackendFailing: (
        _health_log,
        logging.INFO,
        "backend fails its checks service=%s backend=%s reason=%s",
    ),
    events.BackendRecovered: (
        _health_log,
        logging.INFO,
        "backend passes its checks again service=%s backend=%s",
    ),
    events.BackendThrottled: (
        _health_log,
        logging.INFO,
        "backend throttled service=%s backend=%s for=%.1fs",
    ),
    events.CertificatesRefused: (
        _health_log,
        logging.WARNING,
        _DISTRUST,
    ),
    events.PanicEntered: (
        _health_log,
        logging.WARNING,
        "panic entered, too few backends are usable, health is ignored service=%s",
    ),
    events.PanicLeft: (_health_log, logging.WARNING, "panic left service=%s"),
    events.RetryBudgetExhausted: (
        _retry_log,
        logging.WARNING,
        "retry budget exhausted, callers get the last answer service=%s",
    ),
    events.AttemptHedged: (
        _retry_log,
        logging.DEBUG,
        "attempt hedged service=%s backend=%s other=%s after=%.3fs",
    ),
}


def _log(event: events.Event) -> None:
    if isinstance(event, events.AttemptRetried):
        return  # logged where it was decided, with what is known there
    log, level, words = _MESSAGES[type(event)]
    values = [getattr(event, field.name) for field in fields(event)]
    log.log(level, words, *[getattr(value, "url", value) for value in values])
