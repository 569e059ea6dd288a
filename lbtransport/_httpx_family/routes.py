"""Routes: how each backend is called, for the logical URL that the caller wrote.

Not here: the inner transports that call it (`pools`).
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from lbtransport._httpx_family.flavour import Flavour
from lbtransport._httpx_family.pools import Pool, Pools
from lbtransport._removals import removals
from lbtransport._target import Target, make_target
from lbtransport._types import Backend
from lbtransport.load_balancer import LoadBalancer

_MOST_ROUTES = 4096  # services times backends; a caller may invent any port


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
        pools: Pools,
        *,
        allow_plaintext: bool,
    ) -> None:
        """Lead to the inner transports in `pools`."""
        self._flavour = flavour
        self._pools = pools
        self._allow_plaintext = allow_plaintext
        self._lock = threading.Lock()
        self._routes: dict[tuple[str, str, str, int | None], Route] = {}

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
            # Asking the clock for each request would cost more than all of this.
            or (
                route.pool.retires_at is not None
                and route.pool.is_retired(balancer.core.clock.monotonic())
            )
        ):
            removals.watch(balancer, self)
            route = self._make(balancer, backend, url)
            with self._lock:
                if len(self._routes) >= _MOST_ROUTES:
                    self._routes.clear()
                self._routes[key] = route
            # Looked at after it was kept, or its removal in between would be missed.
            if balancer.core.is_leaving(backend):
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
        now = balancer.core.clock.monotonic()
        pool, replaced = self._pools.find(backend, target.tls_name, now)
        if replaced is not None:
            # Those of other logical URLs would keep it open.
            self._forget(lambda route: route.pool is replaced)
        own = self._flavour.module.URL(backend.url)
        is_websocket = url.scheme in {"ws", "wss"}
        scheme = own.scheme.replace("http", "ws") if is_websocket else own.scheme
        return Route(
            balancer=weakref.ref(balancer),
            target=target,
            pool=pool,
            scheme=scheme,
            host=own.raw_host.decode("ascii"),
            port=own.port,
            prefix=own.raw_path.decode("ascii").rstrip("/"),
            sets_headers=bool(target.headers) or target.host != target.logical_netloc,
        )

    def retire(self, backend: Backend) -> None:
        """Forget a backend: its connections are closed when the last body ended."""
        self._forget(lambda route: route.target.backend.url == backend.url)
        self._pools.retire(backend)

    def _forget(self, is_gone: Callable[[Route], bool]) -> None:
        with self._lock:
            for key in [key for key, one in self._routes.items() if is_gone(one)]:
                self._routes.pop(key, None)

    def clear(self) -> None:
        """Forget all backends, and leave their connections to be closed."""
        self._pools.clear()
        with self._lock:
            self._routes.clear()

    def abandon_after_fork(self) -> None:
        """Take a new lock in the child: a thread of the parent may hold the old one."""
        self._lock = threading.Lock()
        self._routes = {}


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
