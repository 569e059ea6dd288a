"""One attempt: what becomes of its answer, its error and its selection."""

from __future__ import annotations

from typing import Any

import pytest

from lbtransport import NoBackendsAvailable
from tests.core_kit import in_flight, make_service, stats_of
from tests.exchange.kit import Client


def test_good_answer_is_the_answer() -> None:
    client = Client(200)

    reply = client.ask()

    assert reply is client.script.replies[0]
    assert len(client.script.effects) == 1
    assert in_flight(client.service) == 0


def test_answer_carries_its_selection_until_the_body_ends() -> None:
    client = Client(200)

    _, selection = client.script.run(client.steps())

    assert in_flight(client.service) == 1
    assert sum(b.waiting for b in client.service.stats().backends) == 0
    selection.release()
    assert in_flight(client.service) == 0


@pytest.mark.parametrize("status", [301, 404, 429, 500, 501, 505])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_other_answers_are_not_repeated(status: int, method: str) -> None:
    client = Client(status)

    reply = client.ask(method)

    assert reply.status == status
    assert client.closed == [0]


def test_failed_status_counts_against_its_backend() -> None:
    client = Client(500)

    client.ask()

    assert stats_of(client.service, client.script.sent_to[0]).failures == 1


def test_service_without_backends_raises() -> None:
    client = Client(service=make_service([]))

    client.fail(NoBackendsAvailable)

    assert client.script.effects == []


def test_key_reaches_the_strategy() -> None:
    keys = []

    class Keyed:
        def members_changed(self, members: Any) -> None: ...

        def choose(self, candidates: Any, *, key: Any, now: float, rng: Any) -> Any:
            keys.append(key)
            return candidates[0]

    client = Client(503, service=make_service(strategy=Keyed()))

    client.ask(key="user-17")

    assert keys == ["user-17"] * 2
