"""A subscription to a service's events."""

from __future__ import annotations

from lbtransport import Backend, events
from tests.core_kit import A, B, make_service


def test_subscription_ends() -> None:
    service, heard = make_service([]), list[events.Event]()
    unsubscribe = service.subscribe(heard.append)
    service.add_backend(A)

    unsubscribe()
    service.add_backend(B)

    assert heard == [events.BackendAdded("orders", Backend(A))]
