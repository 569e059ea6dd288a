"""Routes: how each backend is called, and the connections to it.

There is one urllib3 pool for each backend, TLS name and setting of TLS, and none is
closed to make room for another: urllib3 keeps ten, so that with twelve backends in turn
each request would open a connection.
What passes through keeps requests' own pools.

Forgetting a backend closes its idle connections; one whose response is still read
closes when that ends.
A request that found its pool before finds it usable still.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

from urllib3.connectionpool import HTTPConnectionPool

from lbtransport._removals import removals
from lbtransport._requests.pools import WatchedPool
from lbtransport._requests.wire import Origin, WireRequest
from lbtransport._target import Target, make_target
from lbtransport._types import Backend
from lbtransport.load_balancer import LoadBalancer

_MOST_TARGETS = 65536  # backends times origins; a caller may invent any port


class Routes:
    """All routes of one adapter.  Thread-safe."""

    def __init__(self, *, allow_plaintext: bool) -> None:
        """Know no backend yet."""
        self._allow_plaintext = allow_plaintext
        self._targets: dict[tuple[str, Origin], tuple[LoadBalancer, Target]] = {}
        self._pools: dict[tuple[Hashable, ...], HTTPConnectionPool] = {}

    def find(self, balancer: LoadBalancer, backend: Backend, origin: Origin) -> Target:
        """Return the names that a backend is called by.

        Args:
            balancer: The service.
            backend: The backend that was selected.
            origin: The logical URL's.

        Raises:
            ConfigurationError: If an https request would leave in plain text.
        """
        key = (backend.url, origin)
        owner, target = self._targets.get(key) or (None, None)
        # An update may have brought other attributes under the same URL, and a
        # user's function another balancer for the same name.
        if target is None or target.backend is not backend or owner is not balancer:
            target = make_target(
                balancer,
                backend,
                origin.scheme,
                origin.netloc,
                allow_plaintext=self._allow_plaintext,
            )
            removals.watch(balancer, self)
            if len(self._targets) >= _MOST_TARGETS:
                self._targets.clear()
            self._targets[key] = (balancer, target)
        return target

    def pool(
        self,
        request: WireRequest,
        settings: tuple[Hashable, ...],
        make: Callable[[], Any],
    ) -> HTTPConnectionPool:
        """Return the connections to the backend of a request.

        Args:
            request: Says which one it is.
            settings: What else connections must have in common to be shared.
            make: Makes the pool, if it is the first of its kind.
        """
        target = request.target
        key = (target.backend.url, target.tls_name, *settings)
        pool = self._pools.get(key)
        if pool is None:
            # Two threads may make one each, and nobody connects by the second.
            pool = self._pools.setdefault(key, make())
            # Looked at after it was kept, or its removal in between would be missed.
            if request.balancer.core.is_leaving(target.backend):
                self.retire(target.backend)
        return pool

    def retire(self, backend: Backend) -> None:
        """Forget a backend: its connections are closed when the last body ended."""
        for target in [key for key in list(self._targets) if key[0] == backend.url]:
            self._targets.pop(target, None)
        for pool in [key for key in list(self._pools) if key[0] == backend.url]:
            _retire(self._pools.pop(pool, None))

    def clear(self) -> None:
        """Forget all backends."""
        pools = self._pools
        self._targets, self._pools = {}, {}
        for pool in list(pools.values()):
            _retire(pool)


def _retire(pool: HTTPConnectionPool | None) -> None:
    # One of a user's own class closes its connections when the last one lets go of it.
    if isinstance(pool, WatchedPool):
        pool.retire()
