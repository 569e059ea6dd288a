"""What an exchange repeats, and what it does not."""

from __future__ import annotations

import ssl

import pytest

from lbtransport import RetryPolicy
from tests.core_kit import A, B, C, Fate, Reply, states_of, stats_of
from tests.exchange.kit import Client, distrusted, refused, reset


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_what_was_never_sent_is_repeated_on_an_untried_backend(method: str) -> None:
    client = Client(refused(), refused(), 200)

    assert client.ask(method).status == 200

    assert sorted(client.script.sent_to) == [A, B, C]
    assert client.script.sleeps == []


@pytest.mark.parametrize("fate", [reset(), 502, 503, 504], ids=str)
def test_what_may_have_been_processed_is_repeated_if_idempotent(fate: Fate) -> None:
    client = Client(fate)

    assert client.ask("PUT").status == 200

    assert len(set(client.script.sent_to)) == 2


@pytest.mark.parametrize("status", [502, 503, 504])
def test_post_gets_its_bad_answer(status: int) -> None:
    client = Client(status)

    assert client.ask("POST").status == status

    assert client.closed == [0]


def test_post_gets_its_error() -> None:
    error = reset()
    client = Client(error)

    assert client.fail(ConnectionResetError, "POST") is error
    assert len(client.script.sent_to) == 1


@pytest.mark.parametrize("fate", [refused(), reset(), 503], ids=str)
def test_what_cannot_be_replayed_is_sent_once(fate: Fate) -> None:
    client = Client(fate)

    if isinstance(fate, int):
        client.ask(is_replayable=False)
    else:
        client.fail(OSError, is_replayable=False)

    assert len(client.script.sent_to) == 1


def test_post_declared_idempotent_is_repeated() -> None:
    client = Client(503)

    assert client.ask("POST", is_declared_idempotent=True).status == 200


def test_get_declared_otherwise_is_not_repeated() -> None:
    client = Client(503)

    assert client.ask("GET", is_declared_idempotent=False).status == 503


@pytest.mark.parametrize("status", [429, 503])
def test_throttled_post_goes_elsewhere(status: int) -> None:
    client = Client(Reply(status, retry_after=5.0))

    assert client.ask("POST").status == 200

    throttled, other = client.script.sent_to
    assert throttled != other
    assert states_of(client.service)[throttled] == "throttled"
    assert client.script.sleeps == []


def test_wrong_certificate_is_asked_for_once_of_each_backend() -> None:
    errors = [distrusted() for _ in range(3)]
    client = Client(*errors)

    assert client.fail(ssl.SSLError, retry=RetryPolicy(attempts=9)) is errors[-1]
    assert sorted(client.script.sent_to) == [A, B, C]


def test_bug_of_the_client_is_not_repeated() -> None:
    error = ValueError("bug")
    client = Client(error)

    assert client.fail(ValueError) is error
    assert stats_of(client.service, client.script.sent_to[0]).failures == 0
