"""Who gets how much, while backends join, leave, flap, restart, or were tried before.

Real balancers with fixed latencies, on a clock that is moved by hand.
A backend's fair share is what it would get if each request were shared equally by all
that it may go to.
"""

from __future__ import annotations

import math
import random
from collections import Counter, defaultdict, deque
from collections.abc import Callable

import pytest

from lbtransport import Backend, LoadBalancer, Selection
from lbtransport._clock import ManualClock
from lbtransport.strategies import STRATEGIES
from tests.core_kit import REFUSED

URLS = [f"http://10.0.0.{number}" for number in range(1, 9)]
FIRST, NEWCOMER = URLS[0], "http://10.0.0.9"

GAP = 1 / 160  # seconds between two requests
LATENCY = 0.2  # so there are 4 in flight at each backend
WINDOW = 800  # requests: 100 for each backend
WINDOWS = 10  # of 5 s
ENOUGH = 50  # requests in a window; of fewer, chance alone may make twice as many

# A table as large as the default's takes long to fill each time.
SPECS = {"maglev": "maglev;table_size=1009"}
# The standard deviation of the shares of keys, as published: one part in the root of
# 160 points of a ring, one place of some hundred in a table.
UNEVENNESS = {"consistent_hash": 0.08, "maglev": 0.01, "rendezvous": 0.0}


class Traffic:
    """Requests to one service, one after the other, and who got them.

    Attributes:
        down: Those that refuse connections.
        added: Those that were added in the course of it.
        tried: Of how many backends a request has been at some already, at most.
        windows: For each, what each backend got, and what its fair share was.
    """

    def __init__(self, name: str) -> None:
        self.chance = random.Random(f"traffic of {name}")
        self.clock = ManualClock()
        self.service = LoadBalancer(
            "orders",
            URLS,
            strategy=SPECS.get(name, name),
            clock=self.clock,
            rng=random.Random(7),
        )
        self.down: set[str] = set()
        self.added: set[str] = set()
        self.tried = 0
        self.windows: list[tuple[Counter[str], defaultdict[str, float]]] = []
        self._in_flight: deque[tuple[float, Selection]] = deque()

    def add(self, url: str) -> None:
        """Add a backend."""
        self.service.add_backend(url)
        self.added.add(url)

    def run(self, event: Callable[[Traffic, int], None]) -> None:
        """Let requests come, and an event happen before each of them."""
        for number in range(WINDOW * WINDOWS):
            if number % WINDOW == 0:
                self.windows.append((Counter(), defaultdict(float)))
            self.clock.advance(GAP)
            while self._in_flight and self._in_flight[0][0] <= self.clock.monotonic():
                self._in_flight.popleft()[1].release()
            event(self, number)
            self._request()

    def _request(self) -> None:
        key = self.chance.getrandbits(64)
        backends = self.service.backends
        excluded = self.chance.sample(backends, self.chance.randint(0, self.tried))
        selection = self.service.select(key, excluded)
        while selection.backend.url in self.down:
            selection.release(outcome=REFUSED)
            excluded.append(selection.backend)
            selection = self.service.select(key, excluded)
        self._count(selection.backend.url, excluded)
        self._in_flight.append((self.clock.monotonic() + LATENCY, selection))

    def _count(self, url: str, excluded: list[Backend]) -> None:
        got, fair = self.windows[-1]
        got[url] += 1
        candidates = [one.backend.url for one in self.service.core._roster.candidates]
        left = {*candidates} - {one.url for one in excluded} - self.down
        for candidate in left:
            fair[candidate] += 1 / len(left)


def steady(traffic: Traffic, number: int) -> None:
    """Nothing happens."""


def join(traffic: Traffic, number: int) -> None:
    if number == 2 * WINDOW:
        traffic.add(NEWCOMER)


def leave(traffic: Traffic, number: int) -> None:
    if number == 2 * WINDOW:
        traffic.service.remove_backend(FIRST)


def flap(traffic: Traffic, number: int) -> None:
    if number % 400 == 200:
        traffic.service.remove_backend(FIRST)
    elif number and number % 400 == 0:
        traffic.add(FIRST)


def rolling_restart(traffic: Traffic, number: int) -> None:
    """Each refuses connections for 3 s, one every 6 s."""
    turn, at = divmod(number, 960)
    if at == 0 and turn < len(URLS):
        traffic.down.add(URLS[turn])
    elif at == 480:
        traffic.down.clear()


def some_are_tried(traffic: Traffic, number: int) -> None:
    traffic.tried = 3


EVENTS = [steady, join, leave, flap, rolling_restart, some_are_tried]


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.__name__)
@pytest.mark.parametrize("name", sorted(STRATEGIES))
def test_nobody_gets_twice_his_share_and_nobody_starves(
    name: str, event: Callable[[Traffic, int], None]
) -> None:
    traffic = Traffic(name)

    traffic.run(event)

    for got, fair in traffic.windows:
        for url, share in fair.items():
            if share >= ENOUGH:
                assert got[url] <= most(name, share), url
    for url, (all_got, all_fair) in totals(traffic).items():
        # Who has just come may be given little at first.
        assert all_got >= all_fair / (20 if url in traffic.added else 2), url


def most(name: str, share: float) -> float:
    """Return what a backend may get whose fair share is `share`."""
    unevenness = UNEVENNESS.get(name)
    if unevenness is None:
        return 2 * share
    # Keys are drawn at random: four standard deviations of both.
    return share * (1 + 4 * unevenness) + 4 * math.sqrt(share)


def totals(traffic: Traffic) -> dict[str, tuple[float, float]]:
    """Return what each backend got in all windows, and its fair share of them."""
    return {
        url: (
            sum(got[url] for got, _ in traffic.windows),
            sum(fair[url] for _, fair in traffic.windows),
        )
        for url in {url for _, fair in traffic.windows for url in fair}
    }


def test_every_strategy_that_is_keyed_is_judged_by_its_keys() -> None:
    keyed = {name for name, make in STRATEGIES.items() if hasattr(make, "is_keyed")}

    assert keyed == set(UNEVENNESS)
