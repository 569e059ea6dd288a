"""Adapter for requests: what is sent to a logical hostname goes to one of its backends.

```python
session = requests.Session()
mount(session, orders)
session.get("http://orders/v1/items")
```

The request keeps its logical URL, so redirects, cookies, authentication and mocks see
what the caller wrote; only the connection is another.

Not here: how a request is repeated (`_exchange`), and how it reaches a backend
(`_requests`).
"""

from __future__ import annotations

try:
    import requests
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "lbtransport.requests needs requests: pip install 'lbtransport[requests]'"
    ) from error

import copy
import logging
from collections.abc import Callable
from typing import Any, TypedDict, Unpack, cast

from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from lbtransport import _errors, _exchange
from lbtransport._balancer import Balancer
from lbtransport._drive import drive
from lbtransport._forks import Inherited
from lbtransport._requests.bodies import balance
from lbtransport._requests.connector import Connector
from lbtransport._requests.delivery import Delivery
from lbtransport._requests.details import exchange, keep_exchange
from lbtransport._requests.passthrough import Passthrough, PassthroughArgument
from lbtransport._requests.pools import Lifetime
from lbtransport._requests.preferring import Preferring, answering
from lbtransport._requests.routes import Routes
from lbtransport._requests.wire import origin_of
from lbtransport._services import Services, ServicesArgument
from lbtransport.load_balancer import LoadBalancer

__all__ = [
    "ConfigurationError",
    "LoadBalancingAdapter",
    "NoBackendsAvailable",
    "exchange",
    "mount",
]

logger = logging.getLogger("lbtransport.retry")

_PREFIXES = ("http://", "https://")
_CHALLENGES = (401, 407)  # answered through `response.connection`


class NoBackendsAvailable(_errors.NoBackendsAvailable, requests.ConnectionError):
    """No backend of the service can be selected; a ``requests.ConnectionError`` too."""


# The other way round, ValueError's constructor would not take a request.
class ConfigurationError(requests.ConnectionError, _errors.ConfigurationError):
    """What was asked for makes no sense; a ``requests.ConnectionError`` too."""


class LoadBalancingAdapter(Connector):
    """Sends what is for logical hostnames to the backends behind them.  Thread-safe.

    What belongs to no service passes through, as requests would send it without us.

    A deep copy shares the balancers.
    A pickle holds none: an adapter that was made from the environment reads it again
    where it is unpickled, one that was given a function takes that along, and any other
    cannot be pickled.

    Args:
        services: A `LoadBalancer`, several, a function ``(scheme, host, port)`` that
            returns one or None, or nothing for those that the environment configures.
        pool_connections: As requests' own; for what passes through.
        pool_maxsize: As requests' own; for each backend.
        max_retries: As requests' own; for what passes through, which a warning says.
            urllib3 would repeat on the same backend, so what is balanced is repeated by
            the balancer's `retry` alone.
        pool_block: As requests' own.
        use_proxies: Whether requests to backends go through the session's proxies, as
            they apply to the backend's URL; by default they go direct.
        allow_plaintext: Whether an https request may go to an http backend.
        passthrough: The adapter for what belongs to no service, or several by prefix of
            the URL, of which the longest counts.
        keepalive_expiry: Seconds that a connection to a backend may be idle and still
            be used; None for ever.
        max_connection_age: Seconds after which a connection to a backend gets no other
            request; None for never.

    Raises:
        ConfigurationError: If `services` is none of these, the environment is wrong, or
            a number of seconds is none.
    """

    __attrs__ = [  # noqa: RUF012 - HTTPAdapter's list of what makes a copy
        *HTTPAdapter.__attrs__,
        "_allow_plaintext",
        "_given",
        "_lifetime",
        "_passthrough",
        "_use_proxies",
    ]

    # Of one that answers a challenge, see `answering`.
    _preferred: str | None = None
    _original: LoadBalancingAdapter | None = None

    def __init__(
        self,
        services: ServicesArgument = None,
        pool_connections: int = 10,
        pool_maxsize: int = 10,
        max_retries: int | Retry = 0,
        pool_block: bool = False,
        *,
        use_proxies: bool = False,
        allow_plaintext: bool = False,
        passthrough: PassthroughArgument = None,
        keepalive_expiry: float | None = 60.0,
        max_connection_age: float | None = None,
    ) -> None:
        """Connect to nothing yet."""
        super().__init__(pool_connections, pool_maxsize, 0, pool_block)
        self._lifetime = Lifetime(keepalive_expiry, max_connection_age)
        self._services = Services(services)
        is_lasting = services is None or callable(services)
        self._given = services if is_lasting else tuple(self._services)
        self._use_proxies = use_proxies
        self._allow_plaintext = allow_plaintext
        self._passthrough = Passthrough(passthrough)
        if max_retries != 0:
            logger.warning(
                "max_retries is for what passes through, backends are retried by the "
                "balancer's retry max_retries=%r",
                max_retries,
            )
            own = HTTPAdapter(pool_connections, pool_maxsize, max_retries, pool_block)
            self._passthrough.keep("", own)
        self._begin()

    def _begin(self) -> None:
        self._routes = Routes(allow_plaintext=self._allow_plaintext)
        _instances.add(self)

    @property
    def balancers(self) -> tuple[LoadBalancer, ...]:
        """Those of its services, also from the environment; none of a function's."""
        return tuple(self._services)

    def send(  # noqa: PLR0917 - HTTPAdapter's signature
        self,
        request: requests.PreparedRequest,
        stream: bool = False,
        timeout: Any = None,
        verify: Any = True,
        cert: Any = None,
        proxies: Any = None,
    ) -> requests.Response:
        """Send a request to a backend of its service, or pass it through.

        Raises:
            NoBackendsAvailable: If no backend could be selected.
            ConfigurationError: If an https request would leave in plain text.
            requests.RequestException: The last attempt's error.
        """
        arguments = {"stream": stream, "verify": verify, "cert": cert}
        origin = origin_of(request.url)
        balancer = None
        if origin is not None:
            try:
                balancer = self._services.find(origin.scheme, origin.host, origin.port)
            except _errors.ConfigurationError as error:  # of one that a finder made
                raise ConfigurationError(str(error), request=request) from error
        if origin is None or balancer is None:
            other = self._passthrough.find(request.url)
            send: Callable[..., requests.Response]
            send = super().send if other is None else other.send
            return send(request, timeout=timeout, proxies=proxies, **arguments)
        adapter = self._original or self
        try:
            delivery = Delivery(
                adapter,
                adapter._routes,  # noqa: SLF001 - the same class
                balancer,
                request,
                origin,
                timeout=timeout,
                proxies=proxies if self._use_proxies else None,
                arguments=arguments,
            )
            core = balancer.core
            if self._preferred is not None:
                core = cast("Balancer", Preferring(core, self._preferred))
            steps = _exchange.exchange(core, delivery.plan, delivery)
            response, selection = drive(steps, delivery)
        except _errors.NoBackendsAvailable as error:
            nobody = NoBackendsAvailable(str(error), request=request)
            nobody.__dict__ = error.__dict__ | nobody.__dict__  # what was tried before
            raise nobody from error
        except _errors.ConfigurationError as error:
            raise ConfigurationError(str(error), request=request) from error
        keep_exchange(response, balancer.name, selection)
        balance(response.raw, selection, balancer.core, ends_at=delivery.ends_at)
        if response.status_code in _CHALLENGES:
            response.connection = answering(adapter, selection.backend.url)
            _instances.add(response.connection)
        return response  # type: ignore[no-any-return]  # what the delivery's send gave

    def close(self) -> None:
        """Close all connections; the balancers live on, and the adapter can too."""
        self._routes.clear()
        self._passthrough.close()
        super().close()

    def _add(self, services: ServicesArgument) -> None:
        """Serve more services; one of the same name is replaced."""
        added = Services(services)
        if callable(services) or callable(self._given):
            raise ConfigurationError(
                "a function that finds services stands alone: mount once, with one "
                "that finds all of them"
            )
        for balancer in added:
            self._services.add(balancer)
        if services is not None or self._given is not None:
            self._given = tuple(self._services)

    def __getstate__(self) -> dict[str, Any]:
        """Return what is pickled.

        Raises:
            TypeError: If the adapter was given balancers.
        """
        if isinstance(self._given, tuple):
            raise TypeError(
                "an adapter that was given balancers cannot be pickled, for their "
                "state belongs to this process: configure the services in the "
                "environment, or give a function that finds them"
            )
        return self._state()

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Become what was pickled, without connections."""
        super().__setstate__(state)  # type: ignore[misc]  # the stub leaves it out
        self._services = Services(self._given)
        self._begin()

    def __deepcopy__(self, memo: dict[int, Any]) -> LoadBalancingAdapter:
        """Return an adapter with connections of its own, for the same balancers."""
        twin = type(self).__new__(type(self))
        memo[id(self)] = twin
        memo[id(self._given)] = self._given
        twin.__setstate__(copy.deepcopy(self._state(), memo))
        return twin

    def _state(self) -> dict[str, Any]:
        state: Any = super().__getstate__()
        return state  # type: ignore[no-any-return]  # the stub says object

    def _abandon_after_fork(self) -> None:
        """Leave the parent's connections alone."""
        super().__setstate__(self._state())  # type: ignore[misc]  # as above
        self._begin()


class _MountOptions(TypedDict, total=False):
    """What `mount` hands on to the adapter that it makes."""

    pool_connections: int
    pool_maxsize: int
    max_retries: int | Retry
    pool_block: bool
    use_proxies: bool
    allow_plaintext: bool
    passthrough: PassthroughArgument
    keepalive_expiry: float | None
    max_connection_age: float | None


def mount(
    session: requests.Session,
    services: ServicesArgument = None,
    **options: Unpack[_MountOptions],
) -> LoadBalancingAdapter:
    """Have a session send what is for logical hostnames to their backends.

    Called again, it adds to the adapter that it mounted before; a service of the same
    name is replaced.
    The adapters that it displaces get what belongs to no service; those at longer
    prefixes stay.

    Args:
        session: Any `requests.Session`.
        services: As of `LoadBalancingAdapter`.
        options: The same, for the adapter that is made the first time.

    Returns:
        The adapter, mounted at ``http://`` and ``https://``.

    Raises:
        ConfigurationError: If the adapter that is there cannot take the services, or
            `options` that come too late.
    """
    mounted = [session.adapters.get(prefix) for prefix in _PREFIXES]
    there = [found for found in mounted if isinstance(found, LoadBalancingAdapter)]
    if not there:
        adapter = LoadBalancingAdapter(services, **options)
    elif options:
        raise ConfigurationError(
            f"{', '.join(options)}: an adapter is mounted already; give its options "
            f"to the first mount"
        )
    else:
        adapter = there[0]
        adapter._add(services)  # noqa: SLF001 - the same room
    for prefix, displaced in zip(_PREFIXES, mounted, strict=True):
        if displaced is not None and displaced is not adapter:
            adapter._passthrough.keep(prefix, displaced)  # noqa: SLF001 - as above
        session.mount(prefix, adapter)
    return adapter


def _abandon_after_fork(adapter: LoadBalancingAdapter) -> None:
    adapter._abandon_after_fork()  # noqa: SLF001 - the same room


_instances = Inherited(_abandon_after_fork)
