"""Which service a URL belongs to, if any: what all adapters match by.

Matching knows nothing of the scheme but its default port, so ``http://orders``,
``https://orders`` and ``ws://orders`` are one service; it compares hosts whole, so
``orders.evil.example`` is none of ours.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeAlias

from lbtransport._env import balancers_from_environment, is_mocked
from lbtransport._errors import ConfigurationError
from lbtransport._types.authority import (
    effective_port,
    normalise_host,
    normalise_scheme,
    split_service_name,
)
from lbtransport.load_balancer import LoadBalancer

Finder: TypeAlias = Callable[[str, str, int], LoadBalancer | None]
ServicesArgument: TypeAlias = LoadBalancer | Iterable[LoadBalancer] | Finder | None

_MOST_FOUND = 4096  # a caller may invent any port

_HINT = (
    "give a LoadBalancer, a list of them, a function (scheme, host, port) that "
    "returns one or None, or nothing for those that the environment configures"
)


class Services:
    """The services that one adapter serves.  Thread-safe."""

    def __init__(self, services: ServicesArgument = None) -> None:
        """Know what an adapter was given.

        Args:
            services: A balancer, several, a function that finds one, or None for those
                of the environment.

        Raises:
            ConfigurationError: If it is none of these, or two have the same name.
        """
        self._is_mocked = is_mocked()
        self._finder: Finder | None = None
        self._services: dict[tuple[str, int | None], LoadBalancer] = {}
        self._found: dict[tuple[str, str, int | None], LoadBalancer] = {}
        if services is None:
            services = balancers_from_environment().values()
        if isinstance(services, LoadBalancer):
            services = [services]
        if callable(services):
            self._finder = services
            return
        try:
            balancers = list(services)
        except TypeError:
            raise ConfigurationError(f"{services!r} is no service; {_HINT}") from None
        for balancer in balancers:
            if not isinstance(balancer, LoadBalancer):
                raise ConfigurationError(f"{balancer!r} is no LoadBalancer; {_HINT}")
            if split_service_name(balancer.name) in self._services:
                raise ConfigurationError(
                    f"two services are named {balancer.name!r}; name them apart"
                )
            self.add(balancer)

    def __iter__(self) -> Iterator[LoadBalancer]:
        """Iterate over the services that are known by name."""
        return iter(self._services.values())

    def add(self, balancer: LoadBalancer) -> None:
        """Serve one more service; one of the same name is replaced."""
        self._services[split_service_name(balancer.name)] = balancer
        self._found = {}

    def find(self, scheme: str, host: str, port: int | None) -> LoadBalancer | None:
        """Return the service that a URL belongs to, or None to pass it through.

        Args:
            scheme: The URL's scheme, lower case.
            host: Its host, without brackets.
            port: Its port; None for the scheme's own.
        """
        # What was found once is one look-up away; what was not is a stranger, of
        # whom there may be too many to remember.
        found = self._found.get((scheme, host, port))
        if found is None:
            found = self._look_up(scheme, host, port)
            if found is not None and self._finder is None:
                if len(self._found) >= _MOST_FOUND:
                    self._found = {}
                self._found[(scheme, host, port)] = found
        if bypass.depth or self._is_mocked:
            return None
        return found

    def _look_up(self, scheme: str, host: str, port: int | None) -> LoadBalancer | None:
        scheme = normalise_scheme(scheme)
        actual = effective_port(scheme, port)
        if actual is None or scheme not in {"http", "https"}:
            return None
        host = normalise_host(host)
        if self._finder is not None:
            return self._finder(scheme, host, actual)
        specific = self._services.get((host, actual))
        return specific or self._services.get((host, None))


class Bypass:
    """Sends everything through unbalanced, for tests that mock at the backend level."""

    def __init__(self) -> None:
        """Be off."""
        self._lock = threading.Lock()
        self.depth = 0  # of the blocks that are entered; guarded by _lock

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """Be on inside the block, for all threads and tasks."""
        with self._lock:
            self.depth += 1
        try:
            yield
        finally:
            with self._lock:
                self.depth -= 1


bypass = Bypass()
