"""What an exchange tells of its attempts."""

from __future__ import annotations

from typing import Any

import pytest
import tenacity

from lbtransport import Attempt, Backend, NoBackendsAvailable, RetryPolicy
from lbtransport._types.outcome import SUCCESS
from tests.core_kit import REFUSED, A, B, C, Reply, make_service
from tests.exchange.kit import Client, refused, reset


def attempts_of(client: Client) -> tuple[Attempt, ...]:
    _, selection = client.script.run(client.steps())
    selection.release()
    return selection.attempts


def told(error: Any) -> list[tuple[str, str]]:
    return [(one.backend.url, one.outcome.reason) for one in error.attempts]


def test_first_attempt_that_succeeds_is_the_only_one() -> None:
    client = Client(service=make_service([A]), latency=0.2)

    (attempt,) = attempts_of(client)

    assert (attempt.backend, attempt.outcome) == (Backend(A), SUCCESS)
    assert attempt.elapsed == pytest.approx(0.2)


def test_attempts_are_told_in_their_order_with_what_they_came_to() -> None:
    client = Client(refused(), 503, latency=0.2)

    attempts = attempts_of(client)

    assert [one.backend.url for one in attempts] == client.script.sent_to
    reasons = [one.outcome.reason for one in attempts]
    assert reasons == ["connect", "status 503", ""]
    assert [one.elapsed for one in attempts] == [pytest.approx(0.2)] * 3


def test_time_does_not_go_on_while_the_body_is_read() -> None:
    client = Client(latency=0.2)
    _, selection = client.script.run(client.steps())
    client.script.clock.advance(5)

    selection.release()

    assert selection.attempts[0].elapsed == pytest.approx(0.2)


def test_answer_that_is_handed_on_is_the_last_attempt() -> None:
    client = Client(503, 500)

    assert [one.outcome.reason for one in attempts_of(client)] == [
        "status 503",
        "status 500",
    ]


def test_error_tells_every_attempt() -> None:
    client = Client(by_backend=lambda url: refused())

    error = client.fail(ConnectionRefusedError)

    assert told(error) == [(url, "connect") for url in client.script.sent_to]
    assert len(error.attempts) == 3


def test_error_that_may_not_be_repeated_tells_of_its_one_attempt() -> None:
    client = Client(reset(), service=make_service([A]))

    error = client.fail(ConnectionResetError, "POST")

    assert told(error) == [(A, "disconnected")]
    assert error.__notes__ == [f"one attempt for 'orders': {A} (disconnected, 0.000 s)"]


def test_nobody_left_tells_whom_there_was() -> None:
    service = make_service([A])

    def vanish(url: str) -> Reply:
        service.remove_backend(A)
        return Reply(503)

    client = Client(by_backend=vanish, service=service)

    error = client.fail(NoBackendsAvailable)

    assert told(error) == [(A, "status 503")]


def test_rules_of_ones_own_that_raise_tell_it_too() -> None:
    own = tenacity.Retrying(
        stop=tenacity.stop_after_attempt(2),
        retry=tenacity.retry_if_result(lambda reply: True),
        retry_error_cls=Surrender,
    )
    client = Client(503, 503)

    error = client.fail(Surrender, retry=own)

    assert [reason for _, reason in told(error)] == ["status 503"] * 2


class Surrender(tenacity.RetryError):
    """What a user wants to catch."""


def test_attempts_of_a_new_round_are_told_as_well() -> None:
    client = Client(by_backend=lambda url: refused(), service=make_service([A, B, C]))

    error = client.fail(
        ConnectionRefusedError, retry=RetryPolicy(attempts=5, budget_ratio=None)
    )

    assert len(error.attempts) == 5
    assert all(one.outcome == REFUSED for one in error.attempts)
