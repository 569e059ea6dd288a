"""A service that has nobody to select."""

from __future__ import annotations

import pytest

from lbtransport import NoBackendsAvailable
from tests.core_kit import A, in_flight, make_service, stats_of


def test_service_without_backends_says_so() -> None:
    with pytest.raises(NoBackendsAvailable) as refusal:
        make_service([]).select()

    assert str(refusal.value) == (
        "no backend of 'orders' can be selected: it has none; "
        "see add_backend() and update_backends()"
    )


def test_refused_select_counts_nothing() -> None:
    service = make_service([A], max_in_flight=1)
    selection = service.select()

    with pytest.raises(
        NoBackendsAvailable, match="1 of 1 at max_in_flight; raise max_"
    ):
        service.select()

    assert in_flight(service) == 1
    assert stats_of(service, A).total == 1
    selection.release()
