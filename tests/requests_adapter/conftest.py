"""Each session of these tests is closed, and must leave nothing in flight."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from lbtransport import LoadBalancer
from tests.requests_adapter.kit import Balanced, orders_at, outcomes_of
from tests.servers import LoopbackServer

Balance = Callable[..., Balanced]


@pytest.fixture
def balance() -> Iterator[Balance]:
    """Make sessions over given services, with `mount`'s options.

    Backends may be given instead, by their URLs: they are the service "orders" then.
    """
    made: list[Balanced] = []

    def make(*services: Any, **options: Any) -> Balanced:
        given = [one for one in services if isinstance(one, LoadBalancer)]
        if not given:
            given = [orders_at(*services)]
        balanced = Balanced(given[0] if len(given) == 1 else given, **options)
        made.append(balanced)
        return balanced

    yield make
    for balanced in made:
        balanced.session.close()
        services = balanced.services
        for service in services if isinstance(services, list) else [services]:
            assert outcomes_of(service)[2] == 0


@pytest.fixture
def service(server: LoopbackServer) -> LoadBalancer:
    """Make the service "orders" at `server`."""
    return orders_at(server.url)


@pytest.fixture
def client(balance: Balance, service: LoadBalancer) -> Balanced:
    """Make a session over `service`."""
    return balance(service)
