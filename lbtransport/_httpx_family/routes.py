"""Routes: how each backend is called, and the inner transport that calls it.

There is one inner transport for each backend and TLS name.
A shared one would be wrong (a connection verified for one name would serve another,
because SNI is no part of httpcore's connection identity) and slow (its pool looks at
every connection at each request, and keeps only twenty of all backends alive).

What is no longer in use is closed by the transport's next request: see `bodies` on
`litter`.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from lbtransport._httpx_family.bodies import Litter
from lbtransport._httpx_family.flavour import Flavour
from lbtransport._removals import removals
from lbtransport._target import Target, make_target
from lbtransport._types import Backend
from lbtransport.load_balancer import LoadBalancer

_MOST_ROUTES = 4096  # services times backends; a caller may invent any port


class Pool:
    """An inner transport: who uses it holds it, and the last one leaves it to close."""

    __slots__ = ("__weakref__", "_is_left", "_litter", "transport")

    def __init__(self, transport: Any, litter: Litter) -> None:
        """Hold `transport`, and leave it in `litter` in the end."""
        self.transport = transport
        self._litter = litter
        self._is_left = False

    def leave(self) -> None:
        """Leave the transport to be closed; the second time does nothing."""
        if not self._is_left:
            self._is_left = True
            self._litter.drop(self.transport)

    def __del__(self) -> None:
        """Leave the transport to the next request."""
        self.leave()


@dataclass(frozen=True, slots=True)
class Route:
    """How one backend is called for one logical URL.

    Attributes:
        balancer: The service, which it does not keep alive.
        target: Names and headers.
        pool: The inner transport.
        scheme: Of the URL that is requested from it: http, https, ws or wss.
        host: Its host.
        port: Its port; None for the scheme's own.
        prefix: Its path, percent-encoded.
        sets_headers: Whether the request's headers are not sent as the caller made
            them.
    """

    balancer: weakref.ref[LoadBalancer]
    target: Target
    pool: Pool
    scheme: str
    host: str
    port: int | None
    prefix: str
    sets_headers: bool

    def headers_for(self, headers: Any) -> Any:
        """Return the caller's headers with what is this backend's own.

        Args:
            headers: The caller's; not changed.
        """
        target = self.target
        changed = headers.copy()
        # httpx writes the URL's own authority; anything else is the caller's will.
        if changed.get("host") == target.logical_netloc:
            changed["host"] = target.host
        changed.update(target.headers)
        return changed


class Routes:
    """All routes of one transport.  Thread-safe."""

    def __init__(
        self,
        flavour: Flavour,
        make_transport: Callable[[Backend], Any],
        *,
        allow_plaintext: bool,
    ) -> None:
        """Make inner transports with `make_transport`, when they are needed."""
        self._flavour = flavour
        self._make_transport = make_transport
        self._allow_plaintext = allow_plaintext
        self.litter = Litter()
        self._lock = threading.Lock()
        self._routes: dict[tuple[str, str, str, int | None], Route] = {}
        self._pools: dict[tuple[str, str | None], Pool] = {}  # guarded by _lock
        self._alive: weakref.WeakSet[Pool] = weakref.WeakSet()  # retired ones, too

    def find(
        self, balancer: LoadBalancer, backend: Backend, authority: Any, url: Any
    ) -> Route:
        """Return the route to a backend.

        Args:
            balancer: The service.
            backend: The backend that was selected.
            authority: The logical URL's scheme, host and port.
            url: The logical URL.

        Raises:
            ConfigurationError: If an https request would leave in plain text.
        """
        key = (backend.url, *authority)
        route = self._routes.get(key)
        # An update may have brought other attributes under the same URL, and a finder
        # another balancer under the same name.
        if (
            route is None
            or route.target.backend is not backend
            or route.balancer() is not balancer
        ):
            removals.watch(balancer, self)
            route = self._make(balancer, backend, url)
            with self._lock:
                if len(self._routes) >= _MOST_ROUTES:
                    self._routes.clear()
                self._routes[key] = route
            # Looked at after it was kept, or its removal in between would be missed.
            if not _is_member(balancer, backend):
                self.retire(backend)
        return route

    def _make(self, balancer: LoadBalancer, backend: Backend, url: Any) -> Route:
        target = make_target(
            balancer,
            backend,
            url.scheme,
            url.netloc.decode("ascii"),
            allow_plaintext=self._allow_plaintext,
        )
        own = self._flavour.module.URL(backend.url)
        is_websocket = url.scheme in {"ws", "wss"}
        scheme = own.scheme.replace("http", "ws") if is_websocket else own.scheme
        return Route(
            balancer=weakref.ref(balancer),
            target=target,
            pool=self._pool(backend, target.tls_name),
            scheme=scheme,
            host=own.raw_host.decode("ascii"),
            port=own.port,
            prefix=own.raw_path.decode("ascii").rstrip("/"),
            sets_headers=bool(target.headers) or target.host != target.logical_netloc,
        )

    def _pool(self, backend: Backend, tls_name: str | None) -> Pool:
        key = (backend.url, tls_name)
        pool = self._pools.get(key)
        if pool is None:
            # Not under the lock: a factory of the user's may do whatever it likes.
            made = Pool(self._make_transport(backend), self.litter)
            with self._lock:
                pool = self._pools.setdefault(key, made)
                self._alive.add(pool)
        return pool

    def retire(self, backend: Backend) -> None:
        """Forget a backend: its connections are closed when the last body ended."""
        with self._lock:
            pools = [key for key in self._pools if key[0] == backend.url]
            dropped = [self._pools.pop(key) for key in pools]
            for key in [key for key in self._routes if key[0] == backend.url]:
                self._routes.pop(key, None)
        del dropped  # outside the lock: this may be the last reference

    def clear(self) -> None:
        """Forget all backends; leave their transports, used or not, to be closed."""
        with self._lock:
            pools = list(self._alive)
            self._pools.clear()
            self._routes.clear()
        for pool in pools:
            pool.leave()

    def abandon_after_fork(self) -> None:
        """Leave the parent's connections alone: closing them would speak on them."""
        self._lock = threading.Lock()
        # What is in use leaves its stream, one day, in the old litter.
        parents.extend([*self._alive, self.litter])
        self._alive = weakref.WeakSet()
        self._pools, self._routes = {}, {}
        self.litter = Litter()


# What a child of a fork must neither use nor close.
parents: list[object] = []


def _is_member(balancer: LoadBalancer, backend: Backend) -> bool:
    try:
        balancer.core.in_flight(backend)
    except KeyError:
        return False
    return True


def map_headers(hx: Any, response: Any, target: Target) -> None:
    """Map what a response says of its own place back to the logical URL.

    Args:
        hx: The client's module.
        response: Changed in place, if there is something to map.
        target: The backend that gave it.
    """
    headers = response.headers
    is_elsewhere = response.status_code == 201 or 300 <= response.status_code < 400
    if not (
        target.is_mapped
        or "content-location" in headers
        or (is_elsewhere and "location" in headers)
    ):
        return
    maps: Mapping[bytes, Callable[[str], str]] = {
        b"location": target.map_location,
        b"content-location": target.map_location,
        b"set-cookie": target.map_cookie,
    }

    def mapped(name: bytes, value: bytes) -> bytes:
        change = maps.get(name.lower())
        # A server may send any bytes, and latin-1 carries them all.
        return change(value.decode("latin-1")).encode("latin-1") if change else value

    response.headers = hx.Headers(
        [(name, mapped(name, value)) for name, value in headers.raw]
    )
