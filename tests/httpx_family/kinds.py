"""The six kinds of clients, as values: one test runs for all of them.

A test is an async function that says `await done(client.get(...))`; for a synchronous
client that awaits nothing, so the same lines serve both.

Not here: servers (`tests.servers`).
"""

from __future__ import annotations

import contextlib
import inspect
import random
import ssl
from collections.abc import AsyncIterator, Callable, Hashable, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import httpx
import httpx2
import pytest

import lbtransport.httpx
import lbtransport.httpx2
from lbtransport import Backend, HealthPolicy, LoadBalancer
from lbtransport.strategies import Candidates, Member

# For tests that stop reading early: the clients then leave generators of theirs to the
# collector, bare or with us, and trio complains of it.
leaves_generators = pytest.mark.filterwarnings(
    "ignore:Async generator .* was garbage collected:ResourceWarning"
)

# Trusts nobody: made once, because a client's own takes 20 ms.
NO_AUTHORITIES = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


@dataclass(frozen=True)
class Kind:
    """One kind of client.

    Attributes:
        hx: The client's module.
        ours: The module of our transports for it.
        loop: What its tests run under; None for a synchronous client.
    """

    hx: ModuleType
    ours: ModuleType
    loop: str | None

    def __str__(self) -> str:
        return f"{self.hx.__name__}-{self.loop or 'sync'}"

    @property
    def is_async(self) -> bool:
        return self.loop is not None

    def transport(self, services: Any = None, **options: Any) -> Any:
        """Make one of our transports."""
        options.setdefault("verify", NO_AUTHORITIES)
        return self._of(self.ours, "LoadBalancingTransport")(services, **options)

    def client(self, **options: Any) -> Any:
        """Make a client."""
        return self._of(self.hx, "Client")(**options)

    def inner(self, name: str) -> Any:
        """Return one of the client's own classes, by its synchronous name."""
        return self._of(self.hx, name)

    def _of(self, module: ModuleType, name: str) -> Any:
        return getattr(module, f"Async{name}" if self.is_async else name)

    @contextlib.asynccontextmanager
    async def connect(
        self, services: Any, *, client: dict[str, Any] | None = None, **options: Any
    ) -> AsyncIterator[Any]:
        """Give a client with one of our transports, and close both.

        Args:
            services: Of the transport.
            client: Options of the client.
            options: Those of the transport.
        """
        transport = self.transport(services, **options)
        made = self.client(transport=transport, **(client or {}))
        try:
            yield made
        finally:
            await self.close(made)

    @contextlib.asynccontextmanager
    async def stream(
        self, client: Any, *args: Any, **kwargs: Any
    ) -> AsyncIterator[Any]:
        """Do as the client's `stream`."""
        if self.is_async:
            async with client.stream(*args, **kwargs) as response:
                yield response
        else:
            with client.stream(*args, **kwargs) as response:
                yield response

    async def open(self, client: Any, url: str, **options: Any) -> Any:
        """Send a GET and return the response, its body unread."""
        request = client.build_request("GET", url, **options)
        return await done(client.send(request, stream=True))

    async def close(self, it: Any) -> None:
        """Close a client, a transport, a response or an iterator."""
        close = getattr(it, "aclose", None) if self.is_async else it.close
        await done((close or it.close)())

    def chunks(self, response: Any, how: str = "raw") -> Any:
        """Return the iterator of a response's body: raw, bytes, text or lines."""
        iterate = getattr(response, f"aiter_{how}" if self.is_async else f"iter_{how}")
        return iterate()

    async def next(self, iterator: Any) -> Any:
        """Return an iterator's next element."""
        return await anext(iterator) if self.is_async else next(iterator)

    async def all(self, iterator: Any) -> list[Any]:
        """Return all that an iterator has left."""
        if self.is_async:
            return [element async for element in iterator]
        return list(iterator)

    async def read(self, response: Any) -> bytes:
        """Read a response's body to its end."""
        body: bytes = await done(response.aread() if self.is_async else response.read())
        return body

    def body_of(self, *chunks: bytes) -> Any:
        """Return a request's body as a generator, which can be sent once."""
        if not self.is_async:
            return iter(chunks)

        async def generate() -> AsyncIterator[bytes]:
            for chunk in chunks:
                yield chunk

        return generate()


def _make_kinds() -> list[Kind]:
    modules: list[tuple[ModuleType, ModuleType]] = [
        (httpx, lbtransport.httpx),
        (httpx2, lbtransport.httpx2),
    ]
    loops = (None, "asyncio", "trio")
    return [Kind(hx, ours, loop) for hx, ours in modules for loop in loops]


KINDS = _make_kinds()
SYNC_KINDS = [kind for kind in KINDS if not kind.is_async]
ASYNC_KINDS = [kind for kind in KINDS if kind.is_async]
ASYNCIO_KINDS = [kind for kind in KINDS if kind.loop == "asyncio"]
TRIO_KINDS = [kind for kind in KINDS if kind.loop == "trio"]


async def done(result: Any) -> Any:
    """Return what a client's method returned, awaited if it is an asynchronous one."""
    return await result if inspect.isawaitable(result) else result


class Preferring:
    """A strategy without chance: of the candidates it takes the one listed first."""

    def __init__(self, urls: Sequence[str]) -> None:
        self._order = {url: number for number, url in enumerate(urls)}

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
        return min(candidates, key=lambda one: self._order.get(one.backend.url, 999))


def orders_at(*backends: str | Backend, **options: Any) -> LoadBalancer:
    """Make the service "orders", which prefers the backends listed first."""
    made = [b if isinstance(b, Backend) else Backend(b) for b in backends]
    options.setdefault("strategy", Preferring([backend.url for backend in made]))
    options.setdefault("health", HealthPolicy(slow_start=0))  # it is chance, too
    return LoadBalancer(
        options.pop("name", "orders"), made, rng=random.Random(7), **options
    )


def outcomes_of(service: LoadBalancer) -> tuple[int, int, int]:
    """Return how many selections there were, ended as failures, and are in flight."""
    backends = service.stats().backends
    return (
        sum(one.total for one in backends),
        sum(one.failures for one in backends),
        sum(one.in_flight for one in backends),
    )


def in_flight(service: LoadBalancer) -> int:
    """Return how many selections were not released yet."""
    return outcomes_of(service)[2]


def answering(kind: Kind, answer: Callable[[Any], Any]) -> Callable[[Backend], Any]:
    """Return a `transport_factory` of backends that live in this process."""
    return lambda backend: kind.hx.MockTransport(answer)
