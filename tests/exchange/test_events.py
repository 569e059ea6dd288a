"""What an exchange tells its subscribers and the log."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from lbtransport import events
from tests.core_kit import A, B, make_service
from tests.exchange.kit import Client, refused


def test_each_retry_is_an_event_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger="lbtransport.retry")
    client = Client(refused(), 503, service=make_service([A, B]))
    heard: list[Any] = []
    client.service.subscribe(heard.append)

    client.ask()

    first, second = [e for e in heard if isinstance(e, events.AttemptRetried)]
    assert (first.reason, first.attempt, first.wait) == ("connect", 1, 0.0)
    assert (second.reason, second.attempt) == ("status 503", 2)
    assert second.wait == client.script.sleeps[0]
    assert first.backend.url == client.script.sent_to[0]
    assert [record.getMessage() for record in caplog.records] == [
        f"attempt failed service=orders backend={event.backend.url} "
        f"attempt={event.attempt} reason={event.reason} wait={event.wait:.3f}s"
        for event in (first, second)
    ]


def test_failure_that_ends_the_exchange_is_no_retry() -> None:
    client = Client(500)
    heard: list[Any] = []
    client.service.subscribe(heard.append)

    client.ask()

    assert heard == []
