"""The balancer's events of the demo, counted and put into words."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum

from lbtransport import Backend
from lbtransport.events import AttemptRetried, BackendEjected, BackendReturned, Event

_REASONS = {"connect": "no connection"}


class Kind(Enum):
    """What a line is about."""

    TOLD = "told"  # what the demo itself does
    RETRIED = "retried"
    EJECTED = "ejected"
    RETURNED = "returned"


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the journal.

    Attributes:
        at: Seconds since the beginning.
        kind: What it is about.
        text: What happened.
    """

    at: float
    kind: Kind
    text: str


@dataclass(slots=True)
class _Retries:
    """Retries that are told in one line."""

    at: float
    count: int = 0
    # A dict, for its order.
    reasons: dict[str, None] = field(default_factory=dict)


class Journal:
    """Keeps what happened until somebody reads it.

    `note` may be called by any thread, all else by one alone.

    Attributes:
        retries: Attempts that were repeated.
        ejections: Times that each server was taken out, trials that it failed included.
        returns: Times that each server came back.
    """

    def __init__(
        self,
        names: Mapping[Backend, str],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin now.

        Args:
            names: How the servers are called.
            clock: Tells the time, in seconds.
        """
        self.retries = 0
        self.ejections: Counter[str] = Counter()
        self.returns: Counter[str] = Counter()
        self._names = names
        self._clock = clock
        self._began_at = clock()
        self._events: deque[tuple[float, Event]] = deque()
        self._told: list[Line] = []
        self._out: set[str] = set()

    @property
    def elapsed(self) -> float:
        """Seconds since the beginning."""
        return self._clock() - self._began_at

    def note(self, event: Event) -> None:
        """Keep an event: this is what subscribes to the balancer."""
        self._events.append((self.elapsed, event))

    def tell(self, text: str) -> None:
        """Keep what the demo itself has to say."""
        self._told.append(Line(self.elapsed, Kind.TOLD, text))

    def read(self) -> list[Line]:
        """Return the lines since the last reading, and count what they tell."""
        lines, self._told = [*self._told, *self._lines()], []
        return sorted(lines, key=lambda line: line.at)

    def _lines(self) -> Iterator[Line]:
        retries: dict[str, _Retries] = {}
        while self._events:
            at, event = self._events.popleft()
            match event:
                case AttemptRetried(backend=backend, reason=reason):
                    # Line by line they would bury all else in the moment of a death.
                    group = retries.setdefault(self._names[backend], _Retries(at))
                    group.count += 1
                    group.reasons[_words(reason)] = None
                    self.retries += 1
                case BackendEjected(backend=backend, reason=reason, seconds=seconds):
                    text = self._ejected(self._names[backend], reason, seconds)
                    yield Line(at, Kind.EJECTED, text)
                case BackendReturned(backend=backend):
                    text = self._returned(self._names[backend])
                    yield Line(at, Kind.RETURNED, text)
        for name, group in retries.items():
            yield Line(group.at, Kind.RETRIED, _retried(name, group))

    def _ejected(self, name: str, reason: str, seconds: float) -> str:
        because, was_out = _words(reason), name in self._out
        self._out.add(name)
        self.ejections[name] += 1
        if was_out:
            return f"{name} failed its trial ({because}): out for {seconds:.1f} s more"
        return f"{name} is ejected ({because}): out for {seconds:.1f} s"

    def _returned(self, name: str) -> str:
        self._out.discard(name)
        self.returns[name] += 1
        return f"{name} passed its trial: back in rotation"


def _words(reason: str) -> str:
    return _REASONS.get(reason, reason)


def _retried(name: str, group: _Retries) -> str:
    requests = "1 request" if group.count == 1 else f"{group.count} requests"
    reasons = ", ".join(group.reasons)
    return f"{requests} failed on {name} ({reasons}): repeated on another server"
