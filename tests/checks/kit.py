"""What the tests of active checks share: upkeep without a loop or a network."""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Callable
from typing import Any

from lbtransport import Backend, LoadBalancer
from lbtransport._clock import ManualClock
from lbtransport._effects import Call, Effect, Sleep
from lbtransport._upkeep import CheckFailed, Pace, Steps, keep_checking
from tests.core_kit import URLS, make_service


class Fleet:
    """A service whose backends are checked in a time that is moved by hand.

    Attributes:
        service: The service.
        sick: URLs of the backends that are not well.
        checked: When each check began, and of which backend.
        duration: Seconds that each check of a sick backend takes.
        error: What it raises.
    """

    def __init__(
        self,
        pace: Pace | None = None,
        backends: list[str] = URLS[:3],
        *,
        seed: int = 7,
        **options: Any,
    ) -> None:
        self.clock = ManualClock()
        self.service = make_service(backends, self.clock, **options)
        self.service.core.rng = random.Random(seed)
        self.sick: set[str] = set()
        self.checked: list[tuple[float, str]] = []
        self.duration = 0.0
        self.error: Exception = CheckFailed("status 503")
        self._order = itertools.count()
        self._due: list[tuple[float, int, Steps, Any]] = []
        pace = pace or Pace()
        self._start(keep_checking(self.service.core, self._unused, pace, self._start))

    async def _unused(self, backend: Backend) -> None:
        raise AssertionError

    def _start(self, steps: Steps) -> None:
        self._schedule(0.0, steps)

    def _schedule(self, wait: float, steps: Steps, result: Any = None) -> None:
        due = self.clock.monotonic() + wait
        heapq.heappush(self._due, (due, next(self._order), steps, result))

    @property
    def is_running(self) -> bool:
        """Tell whether anything is still to be done."""
        return bool(self._due)

    def run(
        self,
        seconds: float,
        until: Callable[[LoadBalancer], bool] = lambda service: False,
    ) -> float:
        """Let time pass, until something is so; return the seconds that passed."""
        begin = self.clock.monotonic()
        while (
            self.is_running
            and self._due[0][0] <= begin + seconds
            and not until(self.service)
        ):
            due, _, steps, result = heapq.heappop(self._due)
            self.clock.advance(max(0.0, due - self.clock.monotonic()))
            self._step(steps, result)
        if not until(self.service):
            self.clock.advance(begin + seconds - self.clock.monotonic())
        return self.clock.monotonic() - begin

    def _step(self, steps: Steps, result: Any) -> None:
        try:
            if isinstance(result, Exception):
                effect: Effect = steps.throw(result)
            else:
                effect = steps.send(result)
        except StopIteration:
            return
        match effect:
            case Sleep(seconds):
                self._schedule(seconds, steps)
            case Call(function, (Backend() as backend,)) if function == self._unused:
                self.checked.append((self.clock.monotonic(), backend.url))
                is_sick = backend.url in self.sick
                result = self.error if is_sick else None
                self._schedule(self.duration if is_sick else 0.0, steps, result)
            case Call(function, arguments):
                self._schedule(0.0, steps, function(*arguments))
            case _:
                raise AssertionError(effect)

    def times_of(self, url: str) -> list[float]:
        """Return when the checks of one backend began."""
        return [at for at, checked in self.checked if checked == url]
