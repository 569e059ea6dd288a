"""What the callers of the demo got: answers by server, and errors.

It counts what arrived at the callers, not what the balancer says of itself.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum


class Phase(Enum):
    """When a request was made, seen from the server that dies."""

    BEFORE = "before"
    DURING = "during"
    AFTER = "after"


@dataclass(frozen=True, slots=True)
class Count:
    """What all callers got up to an instant.

    Attributes:
        answers: By client.
        errors: By client.
        servers: Answers by server.
        phases: Answers by phase and server.
        messages: The errors in words, and how often each was seen.
    """

    answers: Counter[str]
    errors: Counter[str]
    servers: Counter[str]
    phases: Counter[tuple[Phase, str]]
    messages: Counter[str]


@dataclass(slots=True)
class Call:
    """One call of one caller; `server` is the one that answered."""

    phase: Phase
    server: str = ""


class Tally:
    """Counts calls.  Thread-safe.

    Attributes:
        phase: That of the calls which begin now.
    """

    def __init__(self) -> None:
        """Start at zero, before anything happened."""
        self.phase = Phase.BEFORE
        self._lock = threading.Lock()
        self._answers: Counter[str] = Counter()  # guarded by _lock
        self._errors: Counter[str] = Counter()  # guarded by _lock
        self._phases: Counter[tuple[Phase, str]] = Counter()  # guarded by _lock
        self._messages: Counter[str] = Counter()  # guarded by _lock

    @contextmanager
    def call(self, client: str) -> Iterator[Call]:
        """Count what becomes of a call that `client` makes in the block."""
        call = Call(self.phase)
        try:
            yield call
        except Exception as error:  # noqa: BLE001 - any error is one that a caller saw
            with self._lock:
                self._errors[client] += 1
                self._messages[f"{client}: {type(error).__name__}: {error}"] += 1
        else:
            with self._lock:
                self._answers[client] += 1
                self._phases[call.phase, call.server] += 1

    def count(self) -> Count:
        """Return a copy of what was counted so far."""
        with self._lock:
            servers: Counter[str] = Counter()
            for (_, server), answers in self._phases.items():
                servers[server] += answers
            return Count(
                Counter(self._answers),
                Counter(self._errors),
                servers,
                Counter(self._phases),
                Counter(self._messages),
            )
