"""Services and sessions for the tests of the adapter for requests."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

from lbtransport import Backend, LoadBalancer
from lbtransport._clock import ManualClock
from lbtransport.requests import LoadBalancingAdapter, mount
from lbtransport.strategies import Candidates, Member
from tests.servers import PATIENCE, reply

FULL = b"0123456789" * 1000
SIZED = reply(body=FULL)
CHUNKED = reply(body=[FULL[:3], FULL[3:]])
UNTIL_CLOSE = lambda _: [b"HTTP/1.1 200 OK\r\n\r\n", FULL]  # noqa: E731 - as the others
FRAMINGS = pytest.mark.parametrize(
    "handler",
    [
        pytest.param(SIZED, id="sized"),
        pytest.param(CHUNKED, id="chunked"),
        pytest.param(UNTIL_CLOSE, id="until close"),
    ],
)

# What `outcomes_of` gives after one request that went well, and one that did not.
DONE = (1, 0, 0)
FAILED = (1, 1, 0)


class InOrder:
    """A strategy without chance: takes the candidate that the test listed first."""

    def __init__(self, urls: Sequence[str]) -> None:
        self._urls = list(urls)

    def members_changed(self, members: Sequence[Member]) -> None:
        pass

    def choose(
        self,
        candidates: Candidates,
        *,
        key: Hashable,
        now: float,
        rng: random.Random,
    ) -> Member:
        return min(candidates, key=lambda member: self._rank(member.backend.url))

    def _rank(self, url: str) -> int:
        return self._urls.index(url) if url in self._urls else len(self._urls)


class KeyIsUrl(InOrder):
    """A strategy that takes the candidate whose URL is the caller's key."""

    def __init__(self) -> None:
        super().__init__([])

    def choose(
        self,
        candidates: Candidates,
        *,
        key: Hashable,
        now: float,
        rng: random.Random,
    ) -> Member:
        return next(member for member in candidates if member.backend.url == key)


def orders_at(*backends: str | Backend, **options: Any) -> LoadBalancer:
    """Make the service "orders", which takes the backends in the order given here.

    Its clock stands still unless the test gives another.
    """
    made = [one if isinstance(one, Backend) else Backend(one) for one in backends]
    settings: dict[str, Any] = {
        "strategy": InOrder([backend.url for backend in made]),
        "clock": ManualClock(),
        "rng": random.Random(7),
        **options,
    }
    return LoadBalancer(settings.pop("name", "orders"), made, **settings)


class Balanced:
    """A session with an adapter of ours, as a program has it."""

    def __init__(self, services: Any, **options: Any) -> None:
        self.services = services
        self.session = requests.Session()
        self.adapter: LoadBalancingAdapter = mount(self.session, services, **options)
        self.get = self.session.get
        self.post = self.session.post
        self.put = self.session.put


def outcomes_of(service: LoadBalancer) -> tuple[int, int, int]:
    """Return how many selections there were, ended as failures, and are in flight."""
    backends = service.stats().backends
    return (
        sum(one.total for one in backends),
        sum(one.failures for one in backends),
        sum(one.in_flight for one in backends),
    )


def in_threads(number: int, work: Callable[[int], None]) -> None:
    """Call `work` in so many threads at once, each with its number."""
    start = threading.Barrier(number)

    def begin(own: int) -> None:
        start.wait(PATIENCE)
        work(own)

    with ThreadPoolExecutor(number) as pool:
        for future in [pool.submit(begin, own) for own in range(number)]:
            future.result()


def find_nothing(scheme: str, host: str, port: int) -> LoadBalancer | None:
    return None


class Recorder(requests.adapters.BaseAdapter):
    """An adapter that connects to nothing and notes what it is asked for."""

    def __init__(self, name: str = "recorder") -> None:
        super().__init__()
        self.name = name
        self.urls: list[str | None] = []
        self.arguments: list[dict[str, Any]] = []
        self.closed = 0

    def send(
        self,
        request: requests.PreparedRequest,
        *args: object,
        **kwargs: object,
    ) -> requests.Response:
        assert not args
        self.urls.append(request.url)
        self.arguments.append(kwargs)
        response = requests.Response()
        response.status_code = 299
        response.url = request.url or ""
        response.request = request
        response.raw = None
        response._content = b""
        return response

    def close(self) -> None:
        self.closed += 1
