"""How often an exchange tries, and what it leaves when it gives up."""

from __future__ import annotations

import pytest

from lbtransport import RetryPolicy
from tests.exchange.kit import Client, refused


@pytest.mark.parametrize("attempts", [1, 2, 3, 5])
def test_attempts_count_the_first(attempts: int) -> None:
    client = Client(by_backend=lambda url: 503)

    client.ask(retry=RetryPolicy(attempts=attempts))

    assert len(client.script.sent_to) == attempts


def test_retry_switched_off_sends_once() -> None:
    client = Client(503)

    assert client.ask(retry=False).status == 503


def test_last_answer_is_returned_open() -> None:
    client = Client(502, 503, 504)

    reply = client.ask()

    assert reply is client.script.replies[-1]
    assert client.statuses == [502, 503, 504]
    assert client.closed == [1, 1, 0]


def test_last_error_is_raised_as_it_is() -> None:
    last = refused()
    client = Client(refused(), 503, last)

    assert client.fail(ConnectionRefusedError) is last
    assert client.closed == [1]


def test_last_answer_is_returned_after_errors() -> None:
    client = Client(refused(), refused(), 503)

    assert client.ask().status == 503


def test_each_failure_counts_once() -> None:
    client = Client(refused(), 503, 200)

    client.ask()

    failures = [b.failures for b in client.service.stats().backends]
    assert sorted(failures) == [0, 1, 1]
