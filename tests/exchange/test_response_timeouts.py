"""A request that timed out is repeated once at most."""

from __future__ import annotations

from typing import Any

from tests.core_kit import TIMEOUT, URLS, answer, make_service
from tests.exchange.kit import Client, refused, timed_out


def test_response_timeout_is_repeated_once_at_most() -> None:
    error = timed_out()
    client = Client(timed_out(), error)

    assert client.fail(TimeoutError) is error
    assert len(set(client.script.sent_to)) == 2


def test_other_failures_are_repeated_after_a_timeout() -> None:
    client = Client(timed_out(), refused(), 200)

    assert client.ask().status == 200


def test_timeout_of_a_post_is_not_repeated() -> None:
    client = Client(timed_out())

    client.fail(TimeoutError, "POST")

    assert len(client.script.sent_to) == 1


def test_timeouts_are_not_repeated_in_a_brownout() -> None:
    service = make_service()
    for url in URLS[:3]:
        answer(service, url, *[TIMEOUT] * 3)
    client = Client(timed_out(), service=service)

    client.fail(TimeoutError)

    assert len(client.script.sent_to) == 1


def test_timeout_of_a_backend_that_is_gone_is_repeated() -> None:
    service = make_service()
    gone: list[str] = []

    def vanish(url: str) -> Any:
        if gone:
            return 200
        gone.append(url)
        service.remove_backend(url)
        return timed_out()

    client = Client(by_backend=vanish, service=service)

    assert client.ask().status == 200
    assert client.script.sent_to[1] not in gone
