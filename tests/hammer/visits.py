"""What one worker does: GETs, some of which it gives up in the middle.

The same lines serve threads and tasks: with a synchronous client nothing is awaited.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import anyio
import requests

from lbtransport import LoadBalancer
from lbtransport.requests import LoadBalancingAdapter
from tests.hammer.fleet import CHUNK, LARGE, SMALL, Fleet
from tests.httpx_family.kinds import Kind

_TIMEOUT = 60.0  # seconds; the machine may be slow, and that is no failure
_LONGEST_PATIENCE = 0.03  # seconds until one that gives up does so


class BodyFailedError(Exception):
    """The body of a response failed, which came from this server."""

    def __init__(self, server: int) -> None:
        super().__init__(f"from server {server}")
        self.server = server


class Requests:
    """The client requests, with the methods of a `Kind` that the visits need."""

    is_async = False
    loop = None

    def __str__(self) -> str:
        return "requests"

    def transport(self, service: LoadBalancer) -> LoadBalancingAdapter:
        return LoadBalancingAdapter(service)

    def client(self, transport: LoadBalancingAdapter) -> requests.Session:
        session = requests.Session()
        session.mount("http://", transport)
        return session

    async def open(self, client: requests.Session, url: str, **options: Any) -> Any:
        return client.get(url, stream=True, **options)

    def chunks(self, response: requests.Response) -> Iterator[bytes]:
        return response.iter_content(len(CHUNK))

    async def next(self, chunks: Iterator[bytes]) -> bytes:
        return next(chunks)

    async def read(self, response: requests.Response) -> bytes:
        return response.content

    async def close(self, response: requests.Response) -> None:
        response.close()


class Worker:
    """Visits the service again and again.

    Attributes:
        turn: Odd while a request is under way.
        results: How often each kind of visit came to what.
        errors: What must not happen.
    """

    def __init__(
        self, fleet: Fleet, kind: Kind | Requests, client: Any, rng: random.Random
    ) -> None:
        self._fleet = fleet
        self._kind = kind
        self._client = client
        self._rng = rng
        self.turn = 0
        self.results: Counter[str] = Counter()
        self.errors: list[Exception] = []

    def __str__(self) -> str:
        return str(self._kind)

    async def visit(self) -> None:
        """Make one GET, read as much of it as one pleases, and check it."""
        visits: dict[Callable[[], Any], int] = {
            self._read_small: 12,
            self._read_large: 3,
            self._close_early: 2,
            self._drop: 2,
        }
        if self._kind.is_async:
            visits[self._give_up] = 2
        if self._kind.loop == "asyncio":
            visits[self._time_out] = 2
        (visit,) = self._rng.choices(list(visits), list(visits.values()))
        deaths = self._fleet.deaths()
        self.turn += 1
        try:
            await visit()
        except BodyFailedError as error:
            # The headers were handed over, then the server died: nothing can be done.
            before, after = (
                now[error.server] for now in (deaths, self._fleet.deaths())
            )
            if before == after and before % 2 == 0:
                self.errors.append(error)
            self.results["cut by a death"] += 1
        except Exception as error:  # noqa: BLE001 - the audit raises them all
            self.errors.append(error)
        finally:
            self.turn += 1

    async def _read_small(self) -> None:
        await self._read("small", SMALL)

    async def _read_large(self) -> None:
        await self._read("large", LARGE)

    async def _read(self, what: str, expected: bytes) -> None:
        async with self._response(what) as response:
            assert await self._kind.read(response) == expected
        self.results[f"read {what}"] += 1

    async def _close_early(self) -> None:
        async with self._response("large") as response:
            await self._read_a_chunk(response)
            await self._kind.close(response)
        self.results["closed early"] += 1

    async def _drop(self) -> None:
        """Leave it to the collector, half read or not read at all."""
        async with self._response("large") as response:
            if self._rng.random() < 0.5:
                await self._read_a_chunk(response)
        self.results["dropped"] += 1

    async def _give_up(self) -> None:
        """Be cancelled, wherever it stands by then."""
        patience = self._rng.uniform(0, _LONGEST_PATIENCE)
        with anyio.move_on_after(patience) as scope:
            await self._read("large", LARGE)
        if scope.cancelled_caught:
            self.results["cancelled"] += 1

    async def _time_out(self) -> None:
        """Be cancelled in asyncio's own way, once and not until it obeys."""
        patience = self._rng.uniform(0, _LONGEST_PATIENCE)
        limit = asyncio.timeout(patience)
        try:
            async with limit:
                await self._read("large", LARGE)
        except TimeoutError:
            if not limit.expired():
                raise
            self.results["cancelled"] += 1

    async def _read_a_chunk(self, response: Any) -> None:
        chunk = await self._kind.next(self._kind.chunks(response))
        assert LARGE.startswith(chunk)

    @contextlib.asynccontextmanager
    async def _response(self, what: str) -> AsyncIterator[Any]:
        """Open a response; a large one's body is cut if its server dies."""
        url = f"http://orders/{what}"
        response = await self._kind.open(self._client, url, timeout=_TIMEOUT)
        assert response.status_code == 200, response.status_code
        try:
            yield response
        except Exception as error:
            if what == "small":  # it came with its headers, in one piece
                raise
            raise BodyFailedError(int(response.headers["X-Server"])) from error
