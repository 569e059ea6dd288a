"""The callers of the demo: three clients that share one balancer.

None of them retries, handles a failure or knows an address; what they do is all that
a program has to do.
Not here: what they got (`tally`).
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

import httpx
import requests

from lbtransport import LoadBalancer
from lbtransport._demo.tally import Tally
from lbtransport.httpx import AsyncLoadBalancingTransport, LoadBalancingTransport
from lbtransport.requests import mount

SERVICE = "orders"
URL = f"http://{SERVICE}/items"
RATE = 150.0  # requests per second, of all clients together
WORKERS = 3  # of each client
CLIENTS = {
    "requests": f"{WORKERS} threads",
    "httpx": f"{WORKERS} threads",
    "httpx async": f"{WORKERS} tasks",
}

# Seconds. On loopback only a machine that stands still exceeds it.
_TIMEOUT = 20.0


class Pace:
    """Spaces the requests of one worker; one that is late never hurries to catch up."""

    def __init__(
        self,
        interval: float,
        offset: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Let one go each `interval` seconds, the first after `offset`."""
        self._interval = interval
        self._clock = clock
        self._due_at = clock() + offset

    def pause(self) -> float:
        """Return the seconds until the next request is due, and count on it."""
        now = self._clock()
        at = max(self._due_at, now)
        self._due_at = at + self._interval
        return at - now


class Traffic:
    """Three clients at work; a context manager, in which they are."""

    def __init__(
        self, orders: LoadBalancer, tally: Tally, *, rate: float = RATE
    ) -> None:
        """Send `rate` requests per second through `orders`, and count them."""
        self._orders = orders
        self._tally = tally
        self._rate = rate
        self._stop = threading.Event()
        targets = [
            *[self._use_requests] * WORKERS,
            *[self._use_httpx] * WORKERS,
            self._use_httpx_async,
        ]
        self._threads = [
            threading.Thread(target=target, args=(number,), name=f"demo-{number}")
            for number, target in enumerate(targets)
        ]

    def __enter__(self) -> Self:
        """Start the clients."""
        with contextlib.ExitStack() as undo:
            undo.callback(self._end)
            for thread in self._threads:
                thread.start()
            undo.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Let the clients finish what they are at."""
        self._end()

    def _end(self) -> None:
        self._stop.set()
        for thread in self._threads:
            if thread.ident is not None:  # otherwise it was never started
                thread.join()

    def _use_requests(self, number: int) -> None:
        pace = self._pace(number)
        with requests.Session() as session:
            mount(session, self._orders)
            while not self._stop.wait(pace.pause()):
                with self._tally.call("requests") as call:
                    response = session.get(URL, timeout=_TIMEOUT)
                    response.raise_for_status()
                    call.server = response.json()["server"]

    def _use_httpx(self, number: int) -> None:
        pace = self._pace(number)
        transport = LoadBalancingTransport(self._orders)
        with httpx.Client(transport=transport, timeout=_TIMEOUT) as client:
            while not self._stop.wait(pace.pause()):
                with self._tally.call("httpx") as call:
                    response = client.get(URL).raise_for_status()
                    call.server = response.json()["server"]

    def _use_httpx_async(self, number: int) -> None:
        # Even in Python's development mode: a slow machine is no news here.
        asyncio.run(self._await_httpx(number), debug=False)

    async def _await_httpx(self, number: int) -> None:
        transport = AsyncLoadBalancingTransport(self._orders)
        async with (
            httpx.AsyncClient(transport=transport, timeout=_TIMEOUT) as client,
            asyncio.TaskGroup() as tasks,
        ):
            for more in range(WORKERS):
                tasks.create_task(self._work(client, self._pace(number + more)))

    async def _work(self, client: httpx.AsyncClient, pace: Pace) -> None:
        while not self._stop.is_set():
            await asyncio.sleep(pace.pause())
            with self._tally.call("httpx async") as call:
                response = (await client.get(URL)).raise_for_status()
                call.server = response.json()["server"]

    def _pace(self, number: int) -> Pace:
        """Return the pace of one worker; the workers take turns."""
        workers = len(CLIENTS) * WORKERS
        return Pace(workers / self._rate, number / self._rate)
