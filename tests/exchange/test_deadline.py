"""Nothing begins after the deadline, and no timeout goes past it."""

from __future__ import annotations

import pytest

from lbtransport import RetryPolicy
from lbtransport._effects import Send
from tests.core_kit import A, Reply, make_service
from tests.exchange.kit import Client, refused, timed_out


def test_timeouts_shrink_with_the_deadline() -> None:
    client = Client(503, 503, latency=1.0)

    client.ask(deadline=10.0)

    assert client.script.timeouts == [10.0, 9.0, 8.0]


def test_without_a_deadline_the_clients_own_timeout_holds() -> None:
    client = Client(503)

    client.ask()

    assert client.script.timeouts == [None, None]


def test_no_attempt_begins_after_the_deadline() -> None:
    client = Client(503, 503, latency=1.0)

    assert client.ask(deadline=2.0).status == 503

    assert client.script.timeouts == [2.0, 1.0]


@pytest.mark.parametrize("deadline", [20.0, 30.0])
def test_no_wait_goes_to_the_deadline_or_past_it(deadline: float) -> None:
    client = Client(Reply(503, retry_after=30.0), service=make_service([A]))

    reply = client.ask(deadline=deadline)

    assert reply.status == 503
    assert client.script.sleeps == []
    assert client.closed == [0]


def test_wait_within_the_deadline_is_taken() -> None:
    client = Client(Reply(503, retry_after=30.0), service=make_service([A]))

    assert client.ask(deadline=31.0).status == 200

    assert client.script.timeouts == [31.0, pytest.approx(1.0)]


def test_timeout_is_never_zero() -> None:
    client = Client()
    steps = client.steps(deadline=1e-9)

    effect = next(steps)

    assert isinstance(effect, Send)
    assert effect.timeout is not None
    assert effect.timeout > 0.0001
    steps.close()


def test_attempt_has_a_timeout_of_its_own() -> None:
    client = Client(503, 503, latency=1.0)

    client.ask(retry=RetryPolicy(attempt_timeout=1.5))

    assert client.script.timeouts == [1.5, 1.5, 1.5]


def test_attempt_has_no_more_time_than_the_deadline_leaves() -> None:
    client = Client(503, 503, latency=1.0)

    client.ask(retry=RetryPolicy(attempt_timeout=1.5), deadline=3.0)

    assert client.script.timeouts == [1.5, 1.5, 1.0]


# Whom a timeout blames: the caller, if he had no patience.


def failures(client: Client) -> int:
    return sum(one.failures for one in client.service.stats().backends)


def test_timeout_that_had_the_whole_deadline_blames_the_backend() -> None:
    client = Client(timed_out(), latency=1.0)

    client.fail(TimeoutError, deadline=1.0)

    assert failures(client) == 1


def test_timeout_that_had_what_others_left_blames_nobody() -> None:
    client = Client(503, 503, timed_out(), latency=1.0)

    client.fail(TimeoutError, deadline=2.5)

    assert failures(client) == 2  # those that answered


def test_timeout_before_the_deadline_blames_the_backend() -> None:
    client = Client(503, timed_out(), latency=1.0)

    client.fail(TimeoutError, retry=RetryPolicy(attempts=2), deadline=2.5)

    assert failures(client) == 2


def test_timeout_in_less_than_backends_usually_take_blames_nobody() -> None:
    service = make_service([A])
    slow = Client(200, latency=1.0, service=service)
    slow.ask()
    client = Client(timed_out(), latency=1.5, service=service)

    client.fail(TimeoutError, deadline=1.5)

    assert failures(client) == 0
    assert client.service.stats().backends[0].in_flight == 0


def test_timeout_in_twice_what_a_backend_usually_takes_blames_it() -> None:
    service = make_service([A])
    Client(200, latency=1.0, service=service).ask()
    client = Client(timed_out(), latency=2.0, service=service)

    client.fail(TimeoutError, deadline=2.0)

    assert failures(client) == 1


def test_other_errors_at_the_deadline_blame_the_backend() -> None:
    client = Client(503, refused(), latency=1.0)

    client.fail(ConnectionRefusedError, deadline=2.0)

    assert failures(client) == 2
