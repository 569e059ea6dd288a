"""What a selection's headers and body say about its backend."""

from __future__ import annotations

import httpx
import pytest

from lbtransport import HealthPolicy, Outcome
from tests.core_kit import CUT, STATUS_500, A, make_service, stats_of


def test_failure_at_the_headers_counts_at_once() -> None:
    service = make_service([A])
    selection = service.select()

    selection.responded(outcome=STATUS_500)

    assert stats_of(service, A).failures == 1
    selection.release()


@pytest.mark.parametrize("at_the_end", [None, STATUS_500, CUT])
def test_failure_at_the_headers_counts_once(at_the_end: Outcome | None) -> None:
    service = make_service([A])
    selection = service.select()
    selection.responded(outcome=STATUS_500)

    selection.release(outcome=at_the_end)

    assert stats_of(service, A).failures == 1


@pytest.mark.parametrize("headers", [None, Outcome.success(), Outcome.neutral()])
def test_cut_body_counts_after_good_headers(headers: Outcome | None) -> None:
    service = make_service([A])
    selection = service.select()
    selection.responded(outcome=headers)

    selection.release(outcome=CUT)

    assert stats_of(service, A).failures == 1


@pytest.mark.parametrize(("status", "failures"), [(429, 1), (500, 0)])
def test_status_in_an_error_counts_by_the_policy(status: int, failures: int) -> None:
    service = make_service([A], health=HealthPolicy(failure_statuses={429}))
    response = httpx.Response(status, request=httpx.Request("GET", A))

    with pytest.raises(httpx.HTTPStatusError), service.select():
        response.raise_for_status()

    assert stats_of(service, A).failures == failures
