"""Real servers that fall ill under a steady load, and what their callers see of it.

Requests come at a fixed rate, whether those before were answered or not, as they do
from independent users.
What the sick one's share is, the balancer's own statistics tell: a server that refuses
connections counts nobody.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import httpx
import requests

from lbtransport import LoadBalancer, events
from lbtransport.checks import TcpCheck
from lbtransport.httpx import AsyncLoadBalancingTransport
from lbtransport.requests import LoadBalancingAdapter
from tests.servers import Answer, Fate, LoopbackServer, Reply, Request, truncated_body

URL = "http://orders/items"
SERVERS = 8
QUICKLY = 0.005  # seconds that a server takes when it is well
SLOWNESS = 20
READ_TIMEOUT = 0.3  # seconds; of callers of a server that hangs
_PATIENCE = 10.0  # seconds, of all other callers


class Server(LoopbackServer):
    """Answers quickly, until it falls ill.

    Attributes:
        illness: What answers instead of it; None while it is well.
    """

    def __init__(self) -> None:
        super().__init__(self._answer)
        self.illness: Callable[[Request], Answer] | None = None

    def _answer(self, request: Request) -> Answer:
        if self.illness is not None:
            return self.illness(request)
        time.sleep(QUICKLY)
        return Reply(body=b"0123456789" * 10)


def answer_503_at_once(_: Request) -> Answer:
    time.sleep(0.001)
    return Reply(503)


def answer_500(_: Request) -> Answer:
    time.sleep(QUICKLY)
    return Reply(500)


def answer_slowly(_: Request) -> Answer:
    time.sleep(QUICKLY * SLOWNESS)
    return Reply()


def hang(_: Request) -> Answer:
    return Fate.HANG


def make_ill(illness: Callable[[Request], Answer]) -> Callable[[Server], None]:
    def fall_ill(server: Server) -> None:
        server.illness = illness

    return fall_ill


ILLNESSES: dict[str, Callable[[Server], None]] = {
    "killed": Server.kill,
    "503 in 1 ms": make_ill(answer_503_at_once),
    "20 times slower": make_ill(answer_slowly),
    "hanging": make_ill(hang),
    "500": make_ill(answer_500),
    "cut bodies": make_ill(truncated_body),
}
SEEN_BY_CALLERS = ("500", "cut bodies")  # until the ejection


@dataclass
class Report:
    """What the callers saw.

    Attributes:
        errors: When which error came; an answer of 500 or above is one.
        ejections: Events, each with its instant.
        asked: Requests that were made.
        share: The part of the attempts that went to the first server, in the window.
    """

    errors: list[tuple[float, str]] = field(default_factory=list)
    ejections: list[tuple[float, events.BackendEjected]] = field(default_factory=list)
    asked: int = 0
    share: float = 0.0

    @property
    def errors_until_ejection(self) -> int:
        """Return how many callers saw an error before the first ejection."""
        ejected_at = min((at for at, _ in self.ejections), default=float("inf"))
        return sum(at < ejected_at for at, _ in self.errors)

    def note(self, status: int) -> None:
        if status >= 500:
            self.errors.append((time.monotonic(), f"status {status}"))

    def note_error(self, error: Exception) -> None:
        self.errors.append((time.monotonic(), repr(error)))


class Load:
    """A steady load on a service, while `during` happens.

    Args:
        orders: The service.
        rate: Requests per second.
        read_timeout: Seconds.
    """

    def __init__(
        self, orders: LoadBalancer, rate: float, read_timeout: float = _PATIENCE
    ) -> None:
        self.orders = orders
        self.report = Report()
        self._gap = 1 / rate
        self._read_timeout = read_timeout
        self._over = threading.Event()
        orders.subscribe(self._hear)

    def _hear(self, event: events.Event) -> None:
        if isinstance(event, events.BackendEjected):
            self.report.ejections.append((time.monotonic(), event))

    @contextlib.contextmanager
    def by(self, client: str) -> Iterator[None]:
        """Let requests come inside the block, and wait for the last of them."""
        works = {"requests": self._by_requests, "httpx": self._by_httpx}
        with ThreadPoolExecutor(1) as pool:
            work = pool.submit(works[client])
            try:
                yield
            finally:
                self._over.set()
            work.result()

    def totals(self) -> list[int]:
        """Return the attempts that each backend got so far."""
        return [one.total for one in self.orders.stats().backends]

    def measure_share(self, seconds: float) -> None:
        """Take the share of the first backend in the next seconds."""
        before = self.totals()
        time.sleep(seconds)
        grown = [now - then for now, then in zip(self.totals(), before, strict=True)]
        self.report.share = grown[0] / max(1, sum(grown))

    def _by_requests(self) -> None:
        session = requests.Session()
        adapter = LoadBalancingAdapter(self.orders, pool_maxsize=64)
        session.mount("http://", adapter)

        def ask() -> None:
            try:
                answer = session.get(URL, timeout=(_PATIENCE, self._read_timeout))
                self.report.note(answer.status_code)
            except Exception as error:  # noqa: BLE001 - what a caller may see
                self.report.note_error(error)

        with session, ThreadPoolExecutor(64) as pool:
            next_at = time.monotonic()
            while not self._over.wait(max(0.0, next_at - time.monotonic())):
                next_at += self._gap
                self.report.asked += 1
                pool.submit(ask)

    def _by_httpx(self) -> None:
        asyncio.run(self._by_httpx_async())

    async def _by_httpx_async(self) -> None:
        transport = AsyncLoadBalancingTransport(self.orders)
        timeout: Any = httpx.Timeout(_PATIENCE, read=self._read_timeout)
        async with httpx.AsyncClient(transport=transport, timeout=timeout) as client:

            async def ask() -> None:
                try:
                    self.report.note((await client.get(URL)).status_code)
                except Exception as error:  # noqa: BLE001 - what a caller may see
                    self.report.note_error(error)

            async with asyncio.TaskGroup() as tasks:
                next_at = time.monotonic()
                while not self._over.is_set():
                    tasks.create_task(ask())
                    self.report.asked += 1
                    next_at += self._gap
                    await asyncio.sleep(max(0.0, next_at - time.monotonic()))


@contextlib.contextmanager
def fleet() -> Iterator[list[Server]]:
    """Run the servers."""
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(Server()) for _ in range(SERVERS)]


def fall_ill(
    client: str,
    strategy: str,
    illness: str,
    *,
    rate: float,
    before: float,
    until: float,
    seconds: float,
) -> Report:
    """Let the first server of a fleet fall ill for good.

    Args:
        client: ``"requests"`` or ``"httpx"``.
        strategy: The balancer's.
        illness: One of `ILLNESSES`.
        rate: Requests per second.
        before: Seconds of good health.
        until: Seconds from the onset to the window of the share.
        seconds: How long that window is.
    """
    with fleet() as servers:
        orders = LoadBalancer("orders", [s.url for s in servers], strategy=strategy)
        timeout = READ_TIMEOUT if illness == "hanging" else _PATIENCE
        load = Load(orders, rate, timeout)
        with load.by(client):
            time.sleep(before)
            ILLNESSES[illness](servers[0])
            time.sleep(until)
            load.measure_share(seconds)
        return load.report


def flap(
    client: str, strategy: str, *, rate: float, times: int, pause: float
) -> Report:
    """Let the first server die and come back again and again."""
    with fleet() as servers:
        orders = LoadBalancer("orders", [s.url for s in servers], strategy=strategy)
        load = Load(orders, rate)
        with load.by(client):
            for _ in range(times):
                time.sleep(pause)
                servers[0].kill()
                time.sleep(pause)
                servers[0].start()
        return load.report


def restart_all(
    client: str,
    strategy: str,
    *,
    rate: float,
    pause: float,
    checks: TcpCheck | None = None,
) -> Report:
    """Restart all servers, one after the other, perhaps behind active checks too."""
    with (
        fleet() as servers,
        LoadBalancer(
            "orders", [s.url for s in servers], strategy=strategy, checks=checks
        ) as orders,
    ):
        load = Load(orders, rate)
        with load.by(client):
            for server in servers:
                time.sleep(pause)
                server.kill()
                time.sleep(pause)
                server.start()
            time.sleep(pause)
        return load.report
