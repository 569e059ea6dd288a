"""Who hears of what happened, in which order, and what is written down."""

from __future__ import annotations

import logging
from typing import Any, get_args

import pytest

from lbtransport import Backend, Outcome, _announcer, events
from lbtransport._announcer import Announcer
from tests.core_kit import (
    A,
    B,
    C,
    answer,
    eject,
    interrupted_at,
    make_service,
    select_only,
)

SERVICE = "orders"
BACKEND = Backend("http://user:hush@10.0.0.1", headers={"X-Key": "hush"})
ADDED = events.BackendAdded(SERVICE, BACKEND)


def test_subscriber_hears_each_event_in_order() -> None:
    service, heard = make_service([A]), list[Any]()
    service.subscribe(heard.append)

    service.add_backend(B)
    service.remove_backend(A)
    service.drain(B)
    service.mark_healthy(B, True)

    assert heard == [
        events.BackendAdded(SERVICE, Backend(B)),
        events.BackendRemoved(SERVICE, Backend(A)),
        events.BackendDraining(SERVICE, Backend(B), draining=True),
        events.BackendMarked(SERVICE, Backend(B), healthy=True),
    ]


def test_what_changes_nothing_is_no_event() -> None:
    service, heard = make_service([A]), list[Any]()
    service.subscribe(heard.append)

    service.add_backend(A)
    service.update_backends([Backend(A, weight=2)])
    service.drain(A, False)
    service.mark_healthy(A, None)

    assert heard == []


def test_ejection_and_return_are_told_once() -> None:
    service, heard = make_service([A, B]), list[Any]()
    service.subscribe(heard.append)

    eject(service, A)
    service.mark_healthy(A, True)
    answer(service, A, Outcome.success())

    ejected, marked, returned = heard
    assert (ejected.backend, ejected.reason) == (Backend(A), "connect")
    assert 0.8 <= ejected.seconds <= 1.2
    assert isinstance(marked, events.BackendMarked)
    assert returned == events.BackendReturned(SERVICE, Backend(A))


def test_throttling_is_told_with_its_seconds() -> None:
    service, heard = make_service([A, B]), list[Any]()
    service.subscribe(heard.append)

    select_only(service, A).release(outcome=Outcome.throttled(1005.0))

    assert heard == [events.BackendThrottled(SERVICE, Backend(A), 5.0)]


def test_unsubscribed_hears_nothing_more() -> None:
    service, heard, others = make_service([]), list[Any](), list[Any]()
    unsubscribe = service.subscribe(heard.append)
    service.subscribe(others.append)

    unsubscribe()
    unsubscribe()
    service.add_backend(A)

    assert (len(heard), len(others)) == (0, 1)


def test_each_subscription_ends_by_itself() -> None:
    service, heard = make_service([]), list[Any]()
    callback = heard.append
    unsubscribe = service.subscribe(callback)
    service.subscribe(callback)

    unsubscribe()
    service.add_backend(A)

    assert len(heard) == 1


def test_subscriber_that_raises_is_logged_and_harms_nobody(
    caplog: pytest.LogCaptureFixture,
) -> None:
    service, heard = make_service([]), list[Any]()

    def fail(event: events.Event) -> None:
        raise RuntimeError("a bug of the subscriber's")

    service.subscribe(fail)
    service.subscribe(heard.append)

    service.add_backend(BACKEND)

    assert heard == [ADDED]
    assert "subscriber failed event=BackendAdded(" in caplog.text
    assert "a bug of the subscriber's" in caplog.text
    assert "hush" not in caplog.text


def test_interrupt_in_a_subscriber_leaks_no_selection() -> None:
    service = make_service([A, B])

    def interrupt(event: events.Event) -> None:
        raise KeyboardInterrupt

    service.drain(A)
    service.drain(B, False)
    service.subscribe(interrupt)
    service.core.announcer.noted.append(ADDED)

    with pytest.raises(KeyboardInterrupt):
        service.select()

    assert [b.in_flight for b in service.stats().backends] == [0, 0]


def test_subscriber_may_call_the_balancer() -> None:
    service, seen = make_service([A]), list[int]()
    service.subscribe(lambda event: seen.append(len(service.stats().backends)))

    service.add_backend(B)

    assert seen == [2]


def test_order_is_kept_for_all_when_one_subscriber_calls_the_balancer() -> None:
    service, heard = make_service([A]), list[Any]()
    service.subscribe(lambda event: service.stats())
    service.subscribe(heard.append)

    service.update_backends([A, B, C])

    assert [event.backend.url for event in heard] == [B, C]


def test_interrupt_at_any_instant_does_not_silence_what_follows() -> None:
    silent = []

    for step in range(120):
        service, heard = make_service([]), list[Any]()
        service.subscribe(heard.append)
        with interrupted_at(step):
            service.core.announcer.noted.append(ADDED)
            service.core.announcer.announce()
        service.add_backend(B)
        if events.BackendAdded(SERVICE, Backend(B)) not in heard:
            silent.append(step)

    assert silent == []


def test_interrupt_at_any_instant_leaves_no_watcher_waiting_for_ever() -> None:
    waiting = []

    for step in range(60):
        service = make_service([])
        watcher = service.core.announcer.watch()
        with interrupted_at(step):
            service.core.announcer.announce()
        service.add_backend(B)
        if not watcher.is_set:
            waiting.append(step)

    assert waiting == []


def test_events_hold_no_secret() -> None:
    service, heard = make_service([]), list[Any]()
    service.subscribe(heard.append)

    service.add_backend(BACKEND)
    service.add_backend(B)
    eject(service, BACKEND.url)
    answer(service, B, Outcome.throttled(1005.0))
    service.remove_backend(BACKEND)

    assert len(heard) == 5
    assert "hush" not in repr(heard)


# What is written down


@pytest.mark.parametrize(
    ("event", "logger", "level", "message"),
    [
        (
            events.BackendEjected(SERVICE, BACKEND, "connect", 1.23),
            "lbtransport.health",
            "INFO",
            f"backend ejected service=orders backend={A} reason=connect for=1.2s",
        ),
        (
            events.BackendReturned(SERVICE, BACKEND),
            "lbtransport.health",
            "INFO",
            f"backend returned service=orders backend={A}",
        ),
        (
            events.BackendOnTrial(SERVICE, BACKEND),
            "lbtransport.health",
            "DEBUG",
            f"backend on trial service=orders backend={A}",
        ),
        (
            events.CertificatesRefused(SERVICE, BACKEND),
            "lbtransport.health",
            "WARNING",
            (
                "certificates refused, of half of the backends or more, which blames "
                "none of them; see the client's authorities, and tls_name "
                f"service=orders backend={A}"
            ),
        ),
        (
            events.BackendThrottled(SERVICE, BACKEND, 5.0),
            "lbtransport.health",
            "INFO",
            f"backend throttled service=orders backend={A} for=5.0s",
        ),
        (
            events.PanicEntered(SERVICE),
            "lbtransport.health",
            "WARNING",
            (
                "panic entered, too few backends are usable, health is ignored "
                "service=orders"
            ),
        ),
        (
            events.PanicLeft(SERVICE),
            "lbtransport.health",
            "WARNING",
            "panic left service=orders",
        ),
        (
            ADDED,
            "lbtransport.balancer",
            "INFO",
            f"backend added service=orders backend={A}",
        ),
        (
            events.BackendRemoved(SERVICE, BACKEND),
            "lbtransport.balancer",
            "INFO",
            f"backend removed service=orders backend={A}",
        ),
        (
            events.BackendMarked(SERVICE, BACKEND, False),
            "lbtransport.balancer",
            "INFO",
            f"backend marked by the operator service=orders backend={A} healthy=False",
        ),
        (
            events.BackendDraining(SERVICE, BACKEND, True),
            "lbtransport.balancer",
            "INFO",
            (
                f"backend drained by the operator service=orders backend={A} "
                f"draining=True"
            ),
        ),
    ],
)
def test_event_is_logged_under_its_subject(
    caplog: pytest.LogCaptureFixture,
    event: events.Event,
    logger: str,
    level: str,
    message: str,
) -> None:
    caplog.set_level(logging.DEBUG, logger="lbtransport")
    announcer = Announcer(SERVICE)
    announcer.noted.append(event)

    announcer.announce()

    (record,) = caplog.records
    assert (record.name, record.levelname, record.getMessage()) == (
        logger,
        level,
        message,
    )
    assert "hush" not in caplog.text


def test_every_event_is_told_in_words_of_its_own() -> None:
    told_elsewhere = {events.AttemptRetried}

    assert set(get_args(events.Event)) == set(_announcer._MESSAGES) | told_elsewhere


def test_retried_attempt_is_not_logged_again(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger="lbtransport")
    announcer = Announcer(SERVICE)
    announcer.note(events.AttemptRetried, BACKEND, "connect", 1, 0.0)

    announcer.announce()

    assert caplog.records == []


# Watching


def test_watcher_is_woken_by_the_next_change() -> None:
    service = make_service([A])
    signal = service.core.announcer.watch()

    selection = service.select()
    woken_by_select = signal.is_set
    selection.release()

    assert woken_by_select
    assert service.core.announcer.watchers == []


def test_forgotten_watcher_is_not_woken() -> None:
    announcer = Announcer(SERVICE)
    signal = announcer.watch()

    announcer.unwatch(signal)
    announcer.unwatch(signal)
    announcer.announce()

    assert not signal.is_set


def test_events_of_a_selection_that_could_not_be_made_are_told() -> None:
    service, heard = make_service([A]), list[Any]()
    answer(service, A, Outcome.throttled(1005.0))
    service.select().release()
    service.subscribe(heard.append)
    service.drain(A)

    with pytest.raises(Exception, match="can be selected"):
        service.select()

    assert events.PanicLeft(SERVICE) in heard
    assert not service.core.announcer.noted
