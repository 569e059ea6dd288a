"""The hooks that requests' own adapter calls while it sends, for a `WireRequest`.

They pick the connections to its backend, verify by the backend's scheme, and hand the
answer to the caller's own request.
Any other request goes the way it always went.

Not here: which backend (`_exchange`), and what a request for it looks like (`wire`).

References:
    requests, `HTTPAdapter.send`, and psf/requests#6716 on its hooks.
"""

from __future__ import annotations

from typing import Any

from requests import PreparedRequest, Response
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager, poolmanager

from lbtransport._requests.pools import Lifetime, watch
from lbtransport._requests.routes import Routes
from lbtransport._requests.wire import WireRequest, map_back


class Connector(HTTPAdapter):
    """Requests' adapter, for requests that say which backend they are for."""

    _routes: Routes
    _lifetime: Lifetime

    def build_connection_pool_key_attributes(
        self, request: PreparedRequest, verify: Any, cert: Any = None
    ) -> Any:
        """Return where to connect, and with which settings of TLS."""
        where: Any
        settings: Any
        where, settings = super().build_connection_pool_key_attributes(
            request, verify, cert
        )
        if isinstance(request, WireRequest):
            target, backend = request.target, request.target.backend
            where = {
                "scheme": backend.scheme,
                "host": backend.hostname,
                "port": backend.port,
            }
            if target.tls_name is not None:
                # It is what SNI says and what the certificate must say;
                # assert_hostname would change the second and leave out the first.
                settings["server_hostname"] = target.tls_name
        return where, settings

    def get_connection_with_tls_context(
        self,
        request: PreparedRequest,
        verify: Any,
        proxies: Any = None,
        cert: Any = None,
    ) -> Any:
        """Return the connections to a request's backend."""
        get = super().get_connection_with_tls_context
        if not isinstance(request, WireRequest):
            return get(request, verify, proxies, cert)
        scheme = request.target.backend.scheme
        proxy = proxies.get("all") if proxies else None

        def make() -> Any:
            pool: Any
            if proxy is None:
                pool = self._make_pool(request, verify, cert)
            else:
                pool = get(request, verify, proxies, cert)
            # Kept by the pool itself: cert_verify is told of nothing else.
            pool.lbtransport_scheme = scheme
            watch(pool, self._lifetime, request.balancer.core.clock)
            return pool

        tls = (verify, cert) if scheme == "https" else ()
        return self._routes.pool(request, (proxy, *tls), make)

    def _make_pool(self, request: WireRequest, verify: Any, cert: Any) -> Any:
        """Make a pool that no pool manager will drop to make room for another."""
        where, settings = self.build_connection_pool_key_attributes(
            request, verify, cert
        )
        # What subclasses set for all connections, an SSLContext say, is set for these.
        manager = PoolManager(1, **self.poolmanager.connection_pool_kw)
        manager.pool_classes_by_scheme = self._pool_classes()
        return manager.connection_from_host(**where, pool_kwargs=settings)

    def _pool_classes(self) -> Any:
        """Return the user's own classes of pools, or urllib3's."""
        classes = self.poolmanager.pool_classes_by_scheme
        if classes is poolmanager.pool_classes_by_scheme:
            # Managers without a table of their own share the module's, and one that is
            # changed in place changes all: elastic_transport does that for its nodes,
            # and our connections would go unwatched.
            return {"http": HTTPConnectionPool, "https": HTTPSConnectionPool}
        return classes

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
        """Set which certificates a connection takes, by the scheme of its backend.

        The logical URL may say http where the backend is https; requests would then
        take any certificate.
        """
        scheme = getattr(conn, "lbtransport_scheme", None)
        actual = url if scheme is None else f"{scheme}://"
        super().cert_verify(conn, actual, verify, cert)  # type: ignore[no-untyped-call]  # the stub's

    def request_url(self, request: PreparedRequest, proxies: Any) -> str:
        """Return what stands in the request line."""
        if not isinstance(request, WireRequest):
            return super().request_url(request, proxies)
        backend = request.target.backend
        path = backend.path + request.path_url
        proxy = proxies.get("all", "") if proxies else ""
        # Only an HTTP proxy that sees the request needs to be told where it goes.
        if not proxy or backend.scheme == "https" or proxy.lower().startswith("socks"):
            return path
        return f"http://{backend.netloc}{path}"

    def build_response(self, req: PreparedRequest, resp: Any) -> Response:
        """Make of urllib3's response the caller's."""
        if not isinstance(req, WireRequest):
            return super().build_response(req, resp)
        map_back(resp, req.target)
        return super().build_response(req.original, resp)
