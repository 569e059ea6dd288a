"""What the tests of the balancer share."""

from __future__ import annotations

from typing import Any

from lbtransport import LoadBalancer, Outcome
from tests.core_kit import advance, make_service, select_only, stats_of

SUCCESS = Outcome.success()


def chosen(service: LoadBalancer, times: int = 60) -> set[str]:
    """Return the backends that get requests, one after the other."""
    found = set()
    for _ in range(times):
        with service.select() as selection:
            found.add(selection.backend.url)
    return found


def wait_for_return(service: LoadBalancer, url: str) -> None:
    advance(service, stats_of(service, url).returns_in or 0.0)


def kinds(service: LoadBalancer) -> list[type]:
    """Note the kinds of the events from now on."""
    found: list[type] = []
    service.subscribe(lambda event: found.append(type(event)))
    return found


def make_sick(*urls: str, **options: Any) -> LoadBalancer:
    """Make a service of which each backend asked to be left alone."""
    service = make_service(urls, **options)
    for seconds, url in enumerate(urls, 1):
        select_only(service, url).release(
            outcome=Outcome.throttled(1000.0 + 10 * seconds)
        )
    return service
