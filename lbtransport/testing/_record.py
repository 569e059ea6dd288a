"""What is written down in the course of a simulation, and the result that it makes."""

from __future__ import annotations

import math
from collections import Counter

from lbtransport.testing.result import Result, Window
from lbtransport.testing.scenario import Scenario


class Record:
    """What happened to what arrived while it was measured."""

    def __init__(self, scenario: Scenario, window: float) -> None:
        """Be empty, with windows of so many seconds."""
        self._scenario = scenario
        self._since = scenario.warmup
        self._until = scenario.seconds
        self._window = window
        number = math.ceil((self._until - self._since) / window)
        self._sent = [[0] * len(scenario.servers) for _ in range(number)]
        self._latencies: list[list[float]] = [[] for _ in range(number)]
        self._failed = [0] * number
        self._reasons: Counter[str] = Counter()

    def sent(self, server: int, now: float) -> None:
        """Note that a server was sent an attempt."""
        if self._since <= now < self._until:
            self._sent[int((now - self._since) / self._window)][server] += 1

    def succeeded(self, arrived_at: float, now: float) -> None:
        """Note that a request was answered."""
        if arrived_at >= self._since:
            number = int((arrived_at - self._since) / self._window)
            self._latencies[number].append(now - arrived_at)

    def failed(self, arrived_at: float, reason: str) -> None:
        """Note that a caller saw an error."""
        if arrived_at >= self._since:
            self._failed[int((arrived_at - self._since) / self._window)] += 1
            self._reasons[reason] += 1

    def result(self, strategy: str, seed: int) -> Result:
        """Return all of it."""
        windows = tuple(
            Window(
                self._since + number * self._window,
                tuple(self._sent[number]),
                tuple(sorted(self._latencies[number])),
                self._failed[number],
            )
            for number in range(len(self._sent))
        )
        return Result(
            self._scenario,
            strategy,
            seed,
            tuple(sorted(latency for one in self._latencies for latency in one)),
            dict(self._reasons),
            windows,
        )
