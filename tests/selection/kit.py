"""What the tests of a selection share."""

from __future__ import annotations

from lbtransport import LoadBalancer
from tests.core_kit import A, stats_of


def counts(service: LoadBalancer, url: str = A) -> tuple[int, int]:
    found = stats_of(service, url)
    return found.in_flight, found.waiting
