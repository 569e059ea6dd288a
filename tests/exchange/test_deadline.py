"""Nothing begins after the deadline, and no timeout goes past it."""

from __future__ import annotations

import pytest

from lbtransport._effects import Send
from tests.core_kit import A, Reply, make_service
from tests.exchange.kit import Client


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


def test_no_wait_goes_past_the_deadline() -> None:
    client = Client(Reply(503, retry_after=30.0), service=make_service([A]))

    reply = client.ask(deadline=20.0)

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
