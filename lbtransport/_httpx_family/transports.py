"""The two transports: thin adapters between a client and the exchange."""

from __future__ import annotations

import math
import ssl
import threading
from collections.abc import Callable
from typing import Any, ClassVar, Generic, Self, TypeVar

from lbtransport._drive import drive, drive_async
from lbtransport._errors import ConfigurationError, NoBackendsAvailable
from lbtransport._exchange import exchange
from lbtransport._forks import Inherited
from lbtransport._httpx_family.delivery import (
    EXTENSION,
    AsyncDelivery,
    SyncDelivery,
)
from lbtransport._httpx_family.flavour import Flavour
from lbtransport._httpx_family.pools import Pools, parents
from lbtransport._httpx_family.routes import Routes, map_headers
from lbtransport._selection import Selection
from lbtransport._services import Services, ServicesArgument
from lbtransport._types import Backend, Exchange
from lbtransport._validation import check_number
from lbtransport.load_balancer import LoadBalancer

RequestT = TypeVar("RequestT")
ResponseT = TypeVar("ResponseT")
TransportT = TypeVar("TransportT")
LimitsT = TypeVar("LimitsT")

# The clients' own, but for the last: their 5 s would close nearly every connection
# between two requests once there are more than a few backends.
_LIMITS = {
    "max_connections": 100,
    "max_keepalive_connections": 20,
    "keepalive_expiry": 60.0,  # seconds
}


class _FamilyTransport(Generic[RequestT, ResponseT, TransportT, LimitsT]):
    """What both transports share: making inner transports, and passing through.

    Args:
        services: A `LoadBalancer`, several, a function ``(scheme, host, port)`` that
            returns one or None, or nothing for those that the environment configures.
        verify: As the client's own: it gives none of its own settings to a transport.
        cert: As the client's own.
        trust_env: As the client's own; also whether requests that pass through honour
            the environment's proxies.
        http1: As the client's own.
        http2: As the client's own.
        limits: Of the connections to each backend, and of those that pass through; by
            default the client's own, but with idle ones to a backend kept for 60 s.
        max_connection_age: Seconds after which a connection takes no further request;
            None for ever.
        local_address: As that of the client's own transport.
        socket_options: As those of the client's own transport.
        transport_factory: Makes the inner transport of a backend, in place of the
            client's own; the settings above do not apply to it, but for
            `max_connection_age`.  What it makes is closed by this transport.
        passthrough: The transport for requests that belong to no service; by default
            what the client would use without us.
        allow_plaintext: Whether an https request may go to an http backend.

    Raises:
        ConfigurationError: If `services` is none of these, the environment is wrong,
            or an age is no number above 0.
    """

    flavour: ClassVar[Flavour]
    _transport_name: ClassVar[str]
    _client_name: ClassVar[str]
    _is_async: ClassVar[bool]

    def __init__(
        self,
        services: ServicesArgument = None,
        *,
        verify: ssl.SSLContext | str | bool = True,
        cert: Any = None,
        trust_env: bool = True,
        http1: bool = True,
        http2: bool = False,
        limits: LimitsT | None = None,
        max_connection_age: float | None = None,
        local_address: str | None = None,
        socket_options: Any = None,
        transport_factory: Callable[[Backend], TransportT] | None = None,
        passthrough: TransportT | None = None,
        allow_plaintext: bool = False,
    ) -> None:
        """Connect to nothing yet."""
        if max_connection_age is not None:
            check_number(
                "max_connection_age", max_connection_age, above=True, unit="seconds"
            )
        self._services = Services(services)
        self._trust_env = trust_env
        self._passthrough: Any = passthrough
        self._lock = threading.Lock()
        hx = self.flavour.module
        self._limits = limits
        bounds: Any = limits or hx.Limits(**_LIMITS)
        # One context for all: making one takes 20 ms, an inner transport 10 us.
        self._settings = {
            "verify": hx.create_ssl_context(
                verify=verify, cert=cert, trust_env=trust_env
            ),
            "http1": http1,
            "http2": http2,
        }
        sockets = {"local_address": local_address, "socket_options": socket_options}
        make = getattr(hx, self._transport_name)

        def make_transport(backend: Backend) -> Any:
            return make(**self._settings, limits=bounds, **sockets)

        # Of a factory's we know no more than that each has one.
        most = 1 if transport_factory else bounds.max_connections
        self._pools = Pools(
            transport_factory or make_transport,
            max_connections=math.inf if most is None else most,
            max_connection_age=max_connection_age,
            is_async=self._is_async,
        )
        self._routes = Routes(
            self.flavour, self._pools, allow_plaintext=allow_plaintext
        )
        self._client: Any = None  # guarded by _lock
        _instances.add(self)

    @property
    def balancers(self) -> tuple[LoadBalancer, ...]:
        """Those of its services, also from the environment; none of a function's."""
        return tuple(self._services)

    def _find(self, authority: tuple[str, str, int | None], request: Any) -> Any:
        """Return the balancer of a request; None if it passes through."""
        try:
            return self._services.find(*authority)
        except ConfigurationError as error:  # of the balancer that a finder made
            raise self._translate(error, request) from error

    def _pass(self, url: Any) -> Any:
        """Return the transport that the client would have used for `url`."""
        if self._passthrough is not None:
            return self._passthrough
        with self._lock:
            if self._client is None:
                make = getattr(self.flavour.module, self._client_name)
                limits = {} if self._limits is None else {"limits": self._limits}
                self._client = make(
                    **self._settings, **limits, trust_env=self._trust_env
                )
            client = self._client
        # Private, but the one place that knows the rules for proxies.
        return client._transport_for_url(url)  # noqa: SLF001

    def _translate(self, error: Exception, request: Any) -> Exception:
        """Return our error as one that the client's users catch too."""
        is_ours = isinstance(error, NoBackendsAvailable)
        kind: Any
        kind = self.flavour.no_backends if is_ours else self.flavour.configuration
        made: Exception = kind(str(error), request=request)
        made.__dict__ = error.__dict__ | made.__dict__  # what was tried before
        return made

    def _finish(
        self, delivery: Any, response: Any, selection: Selection, body: type[Any]
    ) -> Any:
        """Make of a backend's response the caller's."""
        route = delivery.route
        told = Exchange(delivery.balancer.name, selection.attempts)
        response.extensions[EXTENSION] = told
        map_headers(self.flavour.module, response, route.target)
        if response.is_closed:
            # Read in advance, as those of mocks are: nobody will close it.
            selection.release()
            delivery.leave_pool()
            return response
        response.stream = body(
            response.stream,
            selection,
            route.pool,
            delivery.sent,
            deadline=delivery.body_deadline(),
            exchange=told,
        )
        return response

    def abandon_after_fork(self) -> None:
        """Leave the parent's connections alone."""
        self._lock = threading.Lock()
        self._routes.abandon_after_fork()
        self._pools.abandon_after_fork()
        parents.append(self._client)
        self._client = None


class SyncFamilyTransport(_FamilyTransport[RequestT, ResponseT, TransportT, LimitsT]):
    """A transport of a synchronous client.  Thread-safe."""

    _transport_name = "HTTPTransport"
    _client_name = "Client"
    _is_async = False

    def handle_request(self, request: RequestT) -> ResponseT:
        """Send a request to a backend of its service, or pass it through.

        Raises:
            NoBackendsAvailable: If no backend could be selected.
            ConfigurationError: If an https request would leave in plain text, or an
                option of the request makes no sense.
            Exception: The last attempt's error, the client's own.
        """
        native: Any = request
        url = native.url
        authority = (url.scheme, url.host, url.port)
        balancer = self._find(authority, request)
        if balancer is None:
            return self._pass(url).handle_request(request)  # type: ignore[no-any-return]
        flavour, pools = self.flavour, self._pools
        if pools.litter:
            pools.litter.sweep()
        try:
            delivery = SyncDelivery(flavour, self._routes, balancer, native, authority)
            steps = exchange(balancer.core, delivery.plan, delivery)
            response, selection = drive(steps, delivery)
        except (NoBackendsAvailable, ConfigurationError) as error:
            raise self._translate(error, request) from error
        return self._finish(delivery, response, selection, flavour.sync_body)  # type: ignore[no-any-return]

    def __enter__(self) -> Self:
        """Enter the transport for what passes through, as the client would."""
        if self._passthrough is not None:
            self._passthrough.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        """Close all connections; leave the transport for what passes through."""
        self._close_own()
        if self._passthrough is not None:
            self._passthrough.__exit__(*error)

    def close(self) -> None:
        """Close all connections; the balancers live on, and the transport can too."""
        self._close_own()
        if self._passthrough is not None:
            self._passthrough.close()

    def _close_own(self) -> None:
        self._routes.clear()
        self._pools.litter.sweep()
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            client.close()


class AsyncFamilyTransport(_FamilyTransport[RequestT, ResponseT, TransportT, LimitsT]):
    """A transport of an asynchronous client, under asyncio or trio."""

    _transport_name = "AsyncHTTPTransport"
    _client_name = "AsyncClient"
    _is_async = True

    async def handle_async_request(self, request: RequestT) -> ResponseT:
        """Send a request to a backend of its service, or pass it through.

        Raises:
            NoBackendsAvailable: If no backend could be selected.
            ConfigurationError: If an https request would leave in plain text, or an
                option of the request makes no sense.
            Exception: The last attempt's error, the client's own.
        """
        native: Any = request
        url = native.url
        authority = (url.scheme, url.host, url.port)
        balancer = self._find(authority, request)
        if balancer is None:
            return await self._pass(url).handle_async_request(request)  # type: ignore[no-any-return]
        flavour, pools = self.flavour, self._pools
        if pools.litter:
            await pools.litter.sweep_async()
        try:
            delivery = AsyncDelivery(flavour, self._routes, balancer, native, authority)
            steps = exchange(balancer.core, delivery.plan, delivery)
            response, selection = await drive_async(steps, delivery)
        except (NoBackendsAvailable, ConfigurationError) as error:
            raise self._translate(error, request) from error
        return self._finish(delivery, response, selection, flavour.async_body)  # type: ignore[no-any-return]

    async def __aenter__(self) -> Self:
        """Enter the transport for what passes through, as the client would."""
        if self._passthrough is not None:
            await self._passthrough.__aenter__()
        return self

    async def __aexit__(self, *error: object) -> None:
        """Close all connections; leave the transport for what passes through."""
        await self._close_own()
        if self._passthrough is not None:
            await self._passthrough.__aexit__(*error)

    async def aclose(self) -> None:
        """Close all connections; the balancers live on, and the transport can too."""
        await self._close_own()
        if self._passthrough is not None:
            await self._passthrough.aclose()

    async def _close_own(self) -> None:
        self._routes.clear()
        await self._pools.litter.sweep_async()
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            await client.aclose()


_instances = Inherited[_FamilyTransport[Any, Any, Any, Any]](
    _FamilyTransport.abandon_after_fork
)
