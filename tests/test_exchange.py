"""The life of one request, with neither a network nor a clock that runs."""

from __future__ import annotations

import asyncio
import gc
import itertools
import logging
import weakref
from collections.abc import Callable, Generator
from typing import Any

import pytest
import tenacity
from hypothesis import given
from hypothesis import strategies as st
from tenacity.wait import wait_base

from lbtransport import (
    ConfigurationError,
    HealthPolicy,
    LoadBalancer,
    NoBackendsAvailable,
    RetryPolicy,
    Selection,
    events,
)
from lbtransport._candidates import is_usable
from lbtransport._clock import ManualClock
from lbtransport._drive import perform
from lbtransport._effects import Call, Effect, Send, Sleep
from lbtransport._exchange import exchange
from lbtransport.retry import Retry, make_plan
from tests.helpers_core import (
    TIMEOUT,
    URLS,
    A,
    B,
    C,
    Fate,
    Job,
    Reply,
    Script,
    answer,
    eject,
    in_flight,
    make_service,
    states_of,
    stats_of,
)


def refused() -> Exception:
    return ConnectionRefusedError("refused")


def reset() -> Exception:
    return ConnectionResetError("reset")


def timed_out() -> Exception:
    return TimeoutError("timed out")


class Client:
    """Sends requests through a service by a script.

    Attributes:
        service: Of three backends.
        script: What happened.
    """

    def __init__(
        self,
        *fates: Fate,
        service: LoadBalancer | None = None,
        by_backend: Callable[[str], Fate] | None = None,
        latency: float = 0.0,
    ) -> None:
        self.service = service or make_service()
        clock = self.service.core.clock
        assert isinstance(clock, ManualClock)
        self.script = Script(clock, by_backend or list(fates), latency)

    def steps(
        self, method: str = "GET", *, retry: Retry = None, **job: Any
    ) -> Generator[Effect, Any, tuple[Any, Selection]]:
        return exchange(self.service.core, make_plan(retry), Job(method, **job))

    def ask(self, method: str = "GET", *, retry: Retry = None, **job: Any) -> Reply:
        """Run one exchange; read the response to its end."""
        response, selection = self.script.run(self.steps(method, retry=retry, **job))
        selection.release()
        reply: Reply = response
        return reply

    def fail(self, kind: type[BaseException], *arguments: str, **job: Any) -> Any:
        """Run one exchange that must raise; return the error."""
        with pytest.raises(kind) as caught:
            self.ask(*arguments, **job)
        return caught.value

    @property
    def statuses(self) -> list[int]:
        return [reply.status for reply in self.script.replies]

    @property
    def closed(self) -> list[int]:
        return [reply.closed for reply in self.script.replies]


# One attempt


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


# What is repeated


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


def test_bug_of_the_client_is_not_repeated() -> None:
    error = ValueError("bug")
    client = Client(error)

    assert client.fail(ValueError) is error
    assert stats_of(client.service, client.script.sent_to[0]).failures == 0


# How often


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


# Order


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

    client.ask(retry=RetryPolicy(attempts=60))

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


# Response timeouts


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


# Deadlines


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


# However it ends


INTERRUPTS = [KeyboardInterrupt(), SystemExit(), asyncio.CancelledError()]


@pytest.mark.parametrize("interrupt", INTERRUPTS, ids=lambda e: type(e).__name__)
@pytest.mark.parametrize("before", [0, 1, 2])
def test_interrupted_send_is_no_evidence_and_not_repeated(
    interrupt: BaseException, before: int
) -> None:
    client = Client(*[503] * before, interrupt)

    assert client.fail(type(interrupt)) is interrupt

    assert in_flight(client.service) == 0
    failures = sum(b.failures for b in client.service.stats().backends)
    assert failures == before


@pytest.mark.parametrize("interrupt", INTERRUPTS, ids=lambda e: type(e).__name__)
@pytest.mark.parametrize("effects", [2, 3])
def test_interrupted_wait_or_close_gives_everything_back(
    interrupt: BaseException, effects: int
) -> None:
    client = Client(service=make_service([A]))
    steps = client.steps()
    next(steps)
    for result in (Reply(503), None)[: effects - 1]:
        steps.send(result)

    with pytest.raises(type(interrupt)):
        steps.throw(interrupt)

    assert in_flight(client.service) == 0


@pytest.mark.parametrize("effects", [1, 2, 3, 4])
def test_closed_exchange_gives_everything_back(effects: int) -> None:
    client = Client(service=make_service([A]))
    steps = client.steps()
    next(steps)
    for result in (Reply(503), None, None)[: effects - 1]:
        steps.send(result)

    steps.close()
    del steps

    assert in_flight(client.service) == 0


def test_dropped_exchange_gives_everything_back() -> None:
    client = Client()
    steps = client.steps()
    next(steps)

    del steps
    gc.collect()

    assert in_flight(client.service) == 0


def test_exchange_that_was_never_begun_takes_nothing() -> None:
    client = Client()

    client.steps().close()

    assert all(b.total == 0 for b in client.service.stats().backends)


def test_discarded_answer_that_cannot_be_closed_does_not_fail_the_request() -> None:
    client = Client()
    steps = client.steps()
    next(steps)
    steps.send(Reply(503))

    effect = steps.throw(OSError("cannot be closed"))

    assert isinstance(effect, Send)
    steps.close()


class RefusedError(ConnectionRefusedError):
    """An error that can be referred to weakly."""


class BugError(ValueError):
    """An error that is not repeated."""


@pytest.mark.parametrize("kind", [RefusedError, BugError])
@pytest.mark.parametrize("is_own", [False, True], ids=["policy", "own"])
def test_failed_exchange_leaves_no_cycle_to_the_collector(
    kind: type[Exception], is_own: bool
) -> None:
    own = tenacity.Retrying(stop=tenacity.stop_after_attempt(3))
    client = Client(by_backend=lambda url: kind())

    def fail() -> weakref.ref[Exception]:
        try:
            client.ask(retry=own if is_own else None)
        except kind as caught:
            return weakref.ref(caught)
        raise AssertionError

    gc.collect()
    gc.disable()
    try:
        assert fail()() is None
    finally:
        gc.enable()


def test_backends_that_are_all_gone_leave_no_cycle_to_the_collector() -> None:
    client = Client(service=make_service([A]))

    def leave(url: str) -> Fate:
        client.service.remove_backend(url)
        return RefusedError()

    def fail() -> weakref.ref[Exception]:
        try:
            client.ask()
        except RefusedError as caught:
            return weakref.ref(caught)
        raise AssertionError

    client.script.fates = leave
    gc.collect()
    gc.disable()
    try:
        assert fail()() is None
    finally:
        gc.enable()


# What is told


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


# A user's own tenacity object


class Diary:
    """A tenacity object's callbacks, noting the attempt and what it came to."""

    def __init__(self) -> None:
        self.entries: list[tuple[str, int, object]] = []

    def note(self, what: str) -> Callable[[tenacity.RetryCallState], None]:
        def callback(state: tenacity.RetryCallState) -> None:
            outcome: object = None
            if state.outcome is not None:
                error = state.outcome.exception()
                outcome = type(error) if error else state.outcome.result().status
            self.entries.append((what, state.attempt_number, outcome))

        return callback

    def retrying(self, **options: Any) -> tenacity.Retrying:
        callbacks = {
            what: self.note(what) for what in ("before", "after", "before_sleep")
        }
        defaults: dict[str, Any] = {"stop": tenacity.stop_after_attempt(3), **callbacks}
        return tenacity.Retrying(**{**defaults, **options})


def is_503(reply: Reply) -> bool:
    return reply.status == 503


IF_503 = tenacity.retry_if_result(is_503) | tenacity.retry_if_exception_type()


def test_own_object_sees_true_attempts() -> None:
    diary = Diary()
    client = Client(refused(), 503, 200)

    client.ask(retry=diary.retrying(retry=IF_503))

    assert diary.entries == [
        ("before", 1, None),
        ("after", 1, ConnectionRefusedError),
        ("before_sleep", 1, ConnectionRefusedError),
        ("before", 2, None),
        ("after", 2, 503),
        ("before_sleep", 2, 503),
        ("before", 3, None),
    ]


def test_own_object_sees_the_only_attempt() -> None:
    diary = Diary()

    Client(200).ask(retry=diary.retrying())

    assert diary.entries == [("before", 1, None)]


def test_own_object_that_gives_up_leaves_the_last_answer() -> None:
    client = Client(by_backend=lambda url: 503)

    reply = client.ask(retry=Diary().retrying(retry=IF_503))

    assert reply is client.script.replies[2]
    assert client.closed == [1, 1, 0]


@pytest.mark.parametrize("reraise", [True, False])
def test_own_object_that_gives_up_leaves_the_last_error(reraise: bool) -> None:
    last = refused()
    client = Client(refused(), refused(), last)

    assert client.fail(OSError, retry=Diary().retrying(reraise=reraise)) is last


def test_own_predicate_on_results_decides() -> None:
    client = Client(404, 418, 200)
    teapots = tenacity.retry_if_result(lambda reply: reply.status in {404, 418})

    assert client.ask(retry=Diary().retrying(retry=teapots)).status == 200

    assert client.closed == [1, 1, 0]


def test_own_predicate_on_errors_decides() -> None:
    client = Client(refused())
    never = tenacity.retry_if_exception_type(KeyError)

    client.fail(ConnectionRefusedError, retry=Diary().retrying(retry=never))

    assert len(client.script.sent_to) == 1


def test_own_predicate_that_is_content_with_a_503_gets_it() -> None:
    client = Client(503)

    assert client.ask(retry=Diary().retrying()).status == 503


def test_own_callback_at_the_end_gives_the_answer() -> None:
    client = Client(by_backend=lambda url: 503)
    fallback = Reply(203)
    own = Diary().retrying(retry=IF_503, retry_error_callback=lambda state: fallback)

    assert client.ask(retry=own) is fallback

    assert client.closed == [1, 1, 1]
    assert in_flight(client.service) == 0


def test_own_callback_at_the_end_may_answer_for_an_error() -> None:
    client = Client(by_backend=lambda url: refused())
    fallback = Reply(203)
    own = Diary().retrying(retry_error_callback=lambda state: fallback)

    assert client.ask(retry=own) is fallback
    assert in_flight(client.service) == 0


@pytest.mark.parametrize(
    "where", ["retry", "after", "wait", "stop", "before_sleep", "retry_error_callback"]
)
def test_own_callback_that_raises_leaves_nothing_open(where: str) -> None:
    def fail(state: tenacity.RetryCallState) -> Any:
        raise RuntimeError("a bug of the user's")

    options: dict[str, Any] = {"retry": IF_503, where: fail}
    if where == "retry_error_callback":
        options["stop"] = tenacity.stop_after_attempt(1)
    client = Client(503)

    client.fail(RuntimeError, retry=Diary().retrying(**options))

    assert in_flight(client.service) == 0
    assert client.closed == [1]


def test_own_callback_before_the_first_attempt_may_raise() -> None:
    def fail(state: tenacity.RetryCallState) -> Any:
        raise RuntimeError("a bug of the user's")

    client = Client()

    client.fail(RuntimeError, retry=Diary().retrying(before=fail))

    assert client.script.sent_to == []
    assert in_flight(client.service) == 0


def test_own_wait_is_slept() -> None:
    client = Client(refused(), refused())

    client.ask(retry=Diary().retrying(wait=tenacity.wait_fixed(3)))

    assert client.script.sleeps == [3.0, 3.0]


def test_own_sleep_does_the_waiting() -> None:
    client, slept = Client(refused()), list[float]()
    own = Diary().retrying(wait=tenacity.wait_fixed(3), sleep=slept.append)

    client.ask(retry=own)

    assert slept == [3.0]
    assert [e.by for e in client.script.effects if isinstance(e, Sleep)] == [
        slept.append
    ]


def test_own_sleep_is_called_for_no_seconds_too() -> None:
    client, slept = Client(refused()), list[float]()

    client.ask(retry=Diary().retrying(sleep=slept.append))

    assert slept == [0.0]


def test_own_wait_does_not_go_past_the_deadline() -> None:
    client = Client(by_backend=lambda url: refused(), latency=0.1)
    own = Diary().retrying(wait=tenacity.wait_fixed(10))

    client.fail(ConnectionRefusedError, retry=own, deadline=1.0)

    assert client.script.sleeps == []
    assert len(client.script.sent_to) == 1


def test_own_wait_and_stop_may_ask_how_the_exchange_stands() -> None:
    seen = []

    class Asking(wait_base):
        def __call__(self, state: tenacity.RetryCallState) -> float:
            seen.append(state.args[0].has_untried)
            return 0.0

    client = Client(refused(), refused(), service=make_service([A, B]))

    client.ask(retry=Diary().retrying(wait=Asking()))

    assert seen == [True, False]


@pytest.mark.parametrize("fate", [reset(), 502, 503, 504], ids=str)
def test_own_object_does_not_repeat_a_post_that_may_have_been_processed(
    fate: Fate,
) -> None:
    client = Client(fate)
    always = tenacity.retry_always

    if isinstance(fate, int):
        assert client.ask("POST", retry=Diary().retrying(retry=always)).status == fate
    else:
        client.fail(OSError, "POST", retry=Diary().retrying(retry=always))

    assert len(client.script.sent_to) == 1


def test_own_object_repeats_a_post_that_was_never_sent() -> None:
    client = Client(refused())

    assert client.ask("POST", retry=Diary().retrying()).status == 200


@pytest.mark.parametrize("interrupt", INTERRUPTS, ids=lambda e: type(e).__name__)
def test_own_predicate_never_sees_an_interrupt(interrupt: BaseException) -> None:
    client = Client(interrupt)
    diary = Diary()
    greedy = tenacity.retry_if_exception(lambda error: True)

    client.fail(type(interrupt), retry=diary.retrying(retry=greedy))

    assert diary.entries == [("before", 1, None)]
    assert in_flight(client.service) == 0


def test_own_object_serves_many_exchanges_at_once() -> None:
    own = Diary().retrying(retry=IF_503)
    client = Client()
    one, other = client.steps(retry=own), client.steps(retry=own)

    def up_to_send(steps: Generator[Effect, Any, Any], effect: Effect) -> None:
        while not isinstance(effect, Send):
            call = perform(effect, None) if isinstance(effect, Call) else None
            effect = steps.send(call)

    up_to_send(one, next(one))
    up_to_send(other, next(other))
    for _ in range(2):
        up_to_send(one, one.send(Reply(503)))
        up_to_send(other, other.throw(refused()))
    with pytest.raises(ConnectionRefusedError):
        up_to_send(other, other.throw(refused()))
    one.close()
    del one, other

    assert in_flight(client.service) == 0


def test_awaiting_object_is_refused_by_a_synchronous_client() -> None:
    client = Client(503)

    error = client.fail(ConfigurationError, retry=tenacity.AsyncRetrying())

    assert "must be awaited, and a synchronous client cannot" in str(error)
    assert in_flight(client.service) == 0
    assert client.script.sent_to == []


# Whatever happens


FATES: dict[str, Callable[[], Fate]] = {
    "200": lambda: 200,
    "404": lambda: 404,
    "500": lambda: 500,
    "502": lambda: 502,
    "503": lambda: 503,
    "throttled": lambda: Reply(503, retry_after=0.5),
    "throttled for long": lambda: Reply(429, retry_after=30.0),
    "refused": refused,
    "reset": reset,
    "timeout": timed_out,
    "bug": lambda: ValueError("bug"),
    "interrupt": KeyboardInterrupt,
}
some_fates = st.lists(st.sampled_from(sorted(FATES)), max_size=8)


@given(
    names=some_fates,
    backends=st.integers(1, 4),
    method=st.sampled_from(["GET", "POST"]),
    attempts=st.integers(1, 8),
    deadline=st.none() | st.floats(0.01, 60),
    is_own=st.booleans(),
    max_in_flight=st.none() | st.just(1),
    sick=st.sets(st.sampled_from(URLS), max_size=3),
)
def test_every_exchange_keeps_the_rules(  # noqa: PLR0917 - as Hypothesis draws them
    names: list[str],
    backends: int,
    method: str,
    attempts: int,
    deadline: float | None,
    is_own: bool,
    max_in_flight: int | None,
    sick: set[str],
) -> None:
    service = make_service(URLS[:backends], max_in_flight=max_in_flight)
    for url in sick & set(URLS[: backends - 1]):
        eject(service, url)
    tried: set[str] = set()
    left = [FATES[name]() for name in names]

    def fate(url: str) -> Fate:
        now = service.core.clock.monotonic()
        untried = {
            state.backend.url
            for state in service.core._roster.table
            if state.backend.url not in tried and is_usable(state, now)
        }
        assert url not in tried or not untried
        tried.add(url)
        return left.pop(0) if left else 200

    client = Client(service=service, by_backend=fate, latency=0.01)
    retry: Retry = RetryPolicy(attempts=attempts)
    if is_own:
        retry = tenacity.Retrying(
            stop=tenacity.stop_after_attempt(attempts),
            retry=IF_503,
            wait=tenacity.wait_fixed(0.1),
        )

    try:
        reply = client.ask(method, retry=retry, deadline=deadline)
    except (OSError, ValueError, KeyboardInterrupt):
        assert client.closed == [1] * len(client.closed)
    else:
        assert reply is client.script.replies[-1]
        assert client.closed == [1] * (len(client.closed) - 1) + [0]
    assert in_flight(service) == 0
    assert 1 <= len(client.script.sent_to) <= attempts
    if deadline is not None:
        assert sum(client.script.sleeps) <= deadline


@given(attempts=st.integers(1, 9), backends=st.integers(1, 4))
def test_between_two_tries_of_one_backend_there_is_a_wait(
    attempts: int, backends: int
) -> None:
    service = make_service(URLS[:backends])
    client = Client(by_backend=lambda url: 503, service=service)

    client.ask(retry=RetryPolicy(attempts=attempts))

    since_the_last_wait: list[str] = []
    for entry in client.script.trace:
        if entry == "sleep":
            since_the_last_wait = []
        elif entry.startswith("send"):
            assert entry not in since_the_last_wait
            since_the_last_wait.append(entry)
