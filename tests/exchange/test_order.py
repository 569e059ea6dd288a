"""Which backend is tried after which, and what comes between two attempts."""

from __future__ import annotations

import itertools

from lbtransport import HealthPolicy, NoBackendsAvailable, RetryPolicy
from lbtransport._effects import Send
from tests.core_kit import A, B, C, Fate, Reply, eject, in_flight, make_service
from tests.exchange.kit import Client, refused


def test_discarded_answer_is_closed_before_the_wait_and_the_next_attempt() -> None:
    client = Client(502, 503, service=make_service([A]))

    client.ask()

    assert client.script.trace == [
        f"send {A}",
        "close 502",
        "sleep",
        f"send {A}",
        "close 503",
        "sleep",
        f"send {A}",
    ]


def test_nothing_is_in_flight_while_waiting() -> None:
    client = Client(503, service=make_service([A]))
    steps = client.steps()
    effect, seen = next(steps), []

    for result in (Reply(503), None, None):
        effect = steps.send(result)
        seen.append((type(effect).__name__, in_flight(client.service)))

    assert seen == [("Close", 0), ("Sleep", 0), ("Send", 1)]
    assert isinstance(effect, Send)
    steps.close()


def test_tried_backends_are_tried_again_only_after_a_wait() -> None:
    client = Client(by_backend=lambda url: 503, service=make_service([A, B]))

    client.ask(retry=RetryPolicy(attempts=4))

    sends = [
        entry[:5] for entry in client.script.trace if not entry.startswith("close")
    ]
    assert sends[:4] == ["send ", "send ", "sleep", "send "]
    assert len(set(client.script.sent_to[:2])) == 2


def test_new_round_begins_with_another_than_the_last() -> None:
    client = Client(by_backend=lambda url: 503)

    client.ask(retry=RetryPolicy(attempts=60, budget_ratio=None))

    sent = client.script.sent_to
    assert all(one != other for one, other in itertools.pairwise(sent))
    assert all(sorted(sent[n : n + 3]) == [A, B, C] for n in range(0, 60, 3))


def test_single_backend_is_tried_again() -> None:
    client = Client(refused(), service=make_service([A]))

    assert client.ask("POST").status == 200

    assert client.script.sent_to == [A, A]
    assert 0 < client.script.sleeps[0] <= 0.025


def test_waits_grow() -> None:
    client = Client(by_backend=lambda url: 503, service=make_service([A]))

    client.ask(retry=RetryPolicy(attempts=12, min_wait=1, max_wait=50))

    limits = [1, 2, 4, 8, 16, 32, 50, 50, 50, 50, 50]
    assert len(client.script.sleeps) == len(limits)
    assert all(
        0 < s <= limit for s, limit in zip(client.script.sleeps, limits, strict=True)
    )


def test_retry_after_is_honoured_when_no_other_backend_is_left() -> None:
    client = Client(Reply(503, retry_after=7.0), service=make_service([A]))

    assert client.ask().status == 200

    assert client.script.sleeps == [7.0]


def test_throttled_by_all_the_request_waits_for_who_returns_first() -> None:
    briefly, long = Reply(429, retry_after=1.0), Reply(429, retry_after=30.0)
    client = Client(briefly, long, service=make_service([A, B]))

    assert client.ask().status == 200

    first, second, third = client.script.sent_to
    assert first == third != second
    assert client.script.sleeps == [1.0]


def test_throttled_by_the_last_one_the_request_goes_to_another_at_once() -> None:
    client = Client(503, Reply(503, retry_after=30.0), service=make_service([A, B]))

    assert client.ask().status == 200

    first, second, third = client.script.sent_to
    assert first == third != second
    (sleep,) = client.script.sleeps
    assert sleep <= 0.05


def test_sick_backend_is_better_than_none_for_what_was_never_sent() -> None:
    service = make_service([A, B])
    eject(service, B)
    client = Client(
        by_backend=lambda url: refused() if url == A else 200, service=service
    )

    assert client.ask("POST").status == 200

    assert client.script.sent_to == [A, B]


def test_sick_backend_is_left_alone_by_what_may_have_been_processed() -> None:
    service = make_service([A, B])
    eject(service, B)
    client = Client(503, service=service)

    client.ask()

    assert client.script.sent_to == [A, A]


def test_sick_backend_is_not_used_beyond_its_room() -> None:
    service = make_service([A, B], max_in_flight=1)
    eject(service, B)
    service.drain(A)
    held = service.select()  # in a panic
    service.drain(A, False)
    client = Client(refused(), service=service)

    client.ask()

    assert held.backend.url == B
    assert client.script.sent_to == [A, A]


def test_sick_backend_stays_unused_where_failing_open_is_off() -> None:
    service = make_service([A, B], health=HealthPolicy(fail_open=False))
    eject(service, B)
    client = Client(refused(), service=service)

    client.ask()

    assert client.script.sent_to == [A, A]


def test_backends_that_are_all_gone_leave_the_last_error() -> None:
    service = make_service([A])
    error = refused()
    client = Client(service=service)

    def leave(url: str) -> Fate:
        service.remove_backend(url)
        return error

    client.script.fates = leave

    assert client.fail(ConnectionRefusedError) is error


def test_backends_that_are_all_gone_after_an_answer_are_an_error() -> None:
    service = make_service([A])
    client = Client(service=service)

    def leave(url: str) -> Fate:
        service.remove_backend(url)
        return 503

    client.script.fates = leave

    client.fail(NoBackendsAvailable)
    assert client.closed == [1]


def test_backend_added_during_the_exchange_is_used() -> None:
    service = make_service([A])
    client = Client(service=service)

    def join(url: str) -> Fate:
        service.add_backend(B)
        return refused() if url == A else 200

    client.script.fates = join

    client.ask()

    assert client.script.sent_to == [A, B]
