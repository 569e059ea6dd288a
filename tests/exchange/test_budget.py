"""Retries that the service's budget pays for, and those that it does not."""

from __future__ import annotations

import logging
from typing import Any

import pytest
import tenacity

from lbtransport import RetryPolicy, events
from lbtransport.events import RetryBudgetExhausted
from tests.core_kit import A, B, advance, make_service
from tests.exchange.kit import Client, refused


def failing(**options: Any) -> Client:
    """Make a client of a service of which every backend answers 503."""
    return Client(by_backend=lambda url: 503, service=make_service(**options))


def sends(client: Client, requests: int, **request: Any) -> int:
    """Make requests; return how many the backends saw."""
    before = len(client.script.sent_to)
    for _ in range(requests):
        client.ask(**request)
    return len(client.script.sent_to) - before


def test_backends_that_all_fail_get_a_fifth_more_and_a_few() -> None:
    client = failing()

    assert sends(client, 1000) == pytest.approx(1000 + 200 + 9, abs=3)


def test_last_answer_is_handed_on_when_nothing_is_left() -> None:
    client = failing()
    sends(client, 200)

    assert client.ask().status == 503
    assert client.script.replies[-1].closed == 0


def test_last_error_is_raised_when_nothing_is_left() -> None:
    client = Client(
        by_backend=lambda url: refused(),
        service=make_service(retry=RetryPolicy(budget_ratio=0, budget_per_second=0)),
    )

    client.fail(ConnectionRefusedError)

    assert len(client.script.sent_to) == 1


def test_backend_that_fails_alone_is_covered_by_the_others_requests() -> None:
    client = Client(by_backend=lambda url: 503 if url == A else 200)

    for _ in range(300):
        assert client.ask().status == 200


def test_numbers_are_those_of_the_services_policy() -> None:
    policy = RetryPolicy(budget_ratio=0.5, budget_per_second=0)

    assert sends(failing(retry=policy), 100) == pytest.approx(150, abs=2)


def test_requests_own_policy_does_not_raise_the_budget() -> None:
    client = failing(retry=RetryPolicy(budget_ratio=0, budget_per_second=0))

    assert sends(client, 5, retry=RetryPolicy(budget_ratio=1.0)) == 5


def test_policy_without_a_budget_has_none() -> None:
    policy = RetryPolicy(budget_ratio=None)

    assert sends(failing(retry=policy), 100, retry=policy) == 300


def test_rules_of_ones_own_need_not_pay() -> None:
    none = RetryPolicy(budget_ratio=0, budget_per_second=0)
    client = Client(by_backend=lambda url: refused(), service=make_service(retry=none))
    own = tenacity.Retrying(stop=tenacity.stop_after_attempt(4), reraise=True)

    with pytest.raises(ConnectionRefusedError):
        client.ask(retry=own)

    assert len(client.script.sent_to) == 4


def test_exhaustion_is_told_once_until_it_was_over_for_a_while(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING, logger="lbtransport.retry")
    client = failing(backends=[A, B])
    heard: list[Any] = []
    client.service.subscribe(heard.append)

    sends(client, 100)
    advance(client.service, 5)
    sends(client, 100)
    advance(client.service, 3600)
    sends(client, 100)

    exhausted = [e for e in heard if isinstance(e, RetryBudgetExhausted)]
    assert exhausted == [RetryBudgetExhausted("orders")] * 2
    assert [record.getMessage() for record in caplog.records] == [
        "retry budget exhausted, callers get the last answer service=orders"
    ] * 2


def test_refused_retry_is_none() -> None:
    client = failing(retry=RetryPolicy(budget_ratio=0, budget_per_second=0))
    heard: list[Any] = []
    client.service.subscribe(heard.append)

    client.ask()

    assert not any(isinstance(event, events.AttemptRetried) for event in heard)
