"""Waiting for room: in order, within limits, and without leaving a trace."""

from __future__ import annotations

import gc
import math
import weakref
from collections.abc import Generator, Hashable
from threading import Event, Thread
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from lbtransport import (
    ConfigurationError,
    HealthPolicy,
    LoadBalancer,
    NoBackendsAvailable,
    Outcome,
    Selection,
    events,
)
from lbtransport._effects import Effect, Wait
from lbtransport._turn import select_in_turn
from lbtransport._types import Signal
from lbtransport.strategies.round_robin import RoundRobin
from tests.core_kit import (
    REFUSED,
    STATUS_500,
    A,
    B,
    advance,
    eject,
    in_flight,
    interrupted_at,
    make_service,
    select_only,
    states_of,
)


def make_full(*urls: str, **options: Any) -> tuple[LoadBalancer, list[Selection]]:
    """Make a service with a queue, each of whose backends has its one request."""
    options = {"max_in_flight": 1, "max_queued": 9, **options}
    service = make_service(urls or [A], **options)
    return service, [service.select() for _ in service.backends]


class Waiter:
    """Waits for its turn, step by step.

    Attributes:
        selection: What it got.
        error: What it got instead.
        wait: What it waits for; None before it began and when it is over.
    """

    def __init__(
        self,
        service: LoadBalancer,
        *,
        key: Hashable = None,
        tried: tuple[Any, ...] = (),
        deadline: float = math.inf,
    ) -> None:
        ends_at = service.core.clock.monotonic() + deadline
        self._service = service
        self._steps: Generator[Effect, Any, Selection]
        self._steps = select_in_turn(service.core, key, tried, ends_at)
        self.selection: Selection | None = None
        self.error: BaseException | None = None
        self.wait: Wait | None = None
        self.go_on(None)

    def go_on(self, woken: bool | None) -> None:
        try:
            effect = self._steps.send(woken)
        except StopIteration as end:
            self.selection, self.wait = end.value, None
        except Exception as error:  # noqa: BLE001 - the test looks at it
            self.error, self.wait = error, None
        else:
            assert isinstance(effect, Wait)
            self.wait = effect

    @property
    def is_woken(self) -> bool:
        return self.wait is not None and self.wait.signal.is_set

    def nap(self) -> None:
        """Let time pass until the waiter looks up by itself."""
        assert self.wait is not None
        assert self.wait.timeout is not None
        # Not less than what moves a float of this size.
        advance(self._service, max(self.wait.timeout, 1e-6))
        self.go_on(False)

    def wake(self) -> Selection:
        """Go on, as one who was woken and has his turn."""
        assert self.is_woken
        self.go_on(True)
        assert self.selection is not None
        return self.selection

    def throw(self, error: BaseException) -> None:
        try:
            with pytest.raises(type(error)):
                self._steps.throw(error)
        finally:
            del error  # its traceback holds this frame: leave the collector no cycle

    def close(self) -> None:
        self._steps.close()


def test_room_is_not_waited_for_while_there_is_some() -> None:
    service = make_service([A], max_in_flight=2, max_queued=1)

    first, second = Waiter(service), Waiter(service)

    assert first.selection is not None
    assert second.selection is not None
    assert service.stats().queued == 0


def test_release_hands_the_room_to_who_waits() -> None:
    service, (held,) = make_full()
    waiter = Waiter(service)
    before = (waiter.is_woken, service.stats().queued)

    held.release()

    assert before == (False, 1)
    assert waiter.wake().backend.url == A
    assert (in_flight(service), service.stats().queued) == (1, 0)


def test_those_who_wait_are_served_in_the_order_of_their_coming() -> None:
    service, (held,) = make_full()
    waiters = [Waiter(service) for _ in range(4)]

    for waiter in waiters:
        assert [other.is_woken for other in waiters].count(True) == 0
        held.release()
        held = waiter.wake()

    held.release()
    assert in_flight(service) == 0


def test_nobody_overtakes_who_waits() -> None:
    service, (held,) = make_full()
    waiter = Waiter(service)

    held.release()  # the room is the waiter's, before he has even woken up
    late = Waiter(service)
    with pytest.raises(NoBackendsAvailable, match="1 of 1 at max_in_flight"):
        service.select()

    assert (late.is_woken, waiter.is_woken) == (False, True)
    waiter.wake().release()
    late.wake()


def test_nobody_overtakes_while_the_news_of_room_is_on_its_way() -> None:
    service, (held,) = make_full()
    waiter = Waiter(service)
    service.core.announcer.watchers.clear()  # whoever releases is held up there

    held.release()
    with pytest.raises(NoBackendsAvailable):
        service.select()
    waiter.nap()

    assert waiter.selection is not None


def test_one_who_waits_takes_what_he_has_tried_if_nothing_else_has_room() -> None:
    service, held = make_full(A, B)
    first = next(s for s in held if s.backend.url == A)
    waiter = Waiter(service, tried=(first.backend,))

    first.release()

    assert waiter.wake().backend.url == A


def test_one_who_waits_rather_gets_what_he_has_not_tried() -> None:
    service, held = make_full(A, B)
    tried = next(s.backend for s in held if s.backend.url == A)
    waiter = Waiter(service, tried=(tried,))
    service.core.announcer.watchers.clear()  # so that he finds both when he looks

    for selection in held:
        selection.release()
    waiter.nap()

    assert waiter.selection is not None
    assert waiter.selection.backend.url == B


class Keyed(RoundRobin):
    """Notes the keys; fails for one of them."""

    def __init__(self) -> None:
        super().__init__()
        self.keys: list[Hashable] = []

    def choose(self, candidates: Any, **rest: Any) -> Any:
        self.keys.append(rest["key"])
        if rest["key"] == "bad":
            raise ZeroDivisionError
        return super().choose(candidates, **rest)


def test_one_who_waits_keeps_his_key() -> None:
    strategy = Keyed()
    service, (held,) = make_full(strategy=strategy)
    waiter = Waiter(service, key="user-17")

    held.release()

    waiter.wake()
    assert strategy.keys == [None, "user-17"]


def test_strategy_that_fails_fails_whom_it_was_asked_for() -> None:
    service, (held,) = make_full(strategy=Keyed())
    bad, good = Waiter(service, key="bad"), Waiter(service)

    held.release()

    bad.go_on(True)
    assert isinstance(bad.error, ZeroDivisionError)
    good.wake()


# Limits


def test_full_queue_refuses_and_says_so() -> None:
    service, (held,) = make_full(max_queued=2)
    waiters = [Waiter(service) for _ in range(3)]

    assert isinstance(waiters[2].error, NoBackendsAvailable)
    assert str(waiters[2].error) == (
        "no backend of 'orders' has room, and its queue is full: 2 requests wait in "
        "it; raise max_in_flight or max_queued, add backends, or send less"
    )
    assert waiters[2].error.__context__ is None
    assert service.stats().queued == 2
    held.release()
    waiters[0].wake()


def test_waiting_ends_after_the_timeout_and_says_so() -> None:
    service, (held,) = make_full(queue_timeout=2.5)
    waiter = Waiter(service)

    while waiter.wait is not None:
        waiter.nap()

    assert service.core.clock.monotonic() == pytest.approx(1002.5)
    assert str(waiter.error) == (
        "no backend of 'orders' had room within queue_timeout=2.5 s, all are at "
        "max_in_flight: raise max_in_flight or queue_timeout, or add backends; see "
        "stats()"
    )
    assert service.stats().queued == 0
    held.release()
    assert in_flight(service) == 0


def test_waiting_ends_with_the_deadline() -> None:
    service, _ = make_full(queue_timeout=None)
    waiter = Waiter(service, deadline=0.25)

    while waiter.wait is not None:
        waiter.nap()

    assert service.core.clock.monotonic() == pytest.approx(1000.25)
    assert "within its deadline" in str(waiter.error)


def test_waiting_without_a_timeout_goes_on() -> None:
    service, (held,) = make_full(queue_timeout=None)
    waiter = Waiter(service)

    for _ in range(100):
        waiter.nap()

    held.release()
    waiter.wake()


def test_turn_that_comes_with_the_end_of_the_waiting_is_taken() -> None:
    service, (held,) = make_full(queue_timeout=0.5)
    waiter = Waiter(service)

    held.release()
    advance(service, 0.5)
    waiter.go_on(False)

    assert waiter.selection is not None


def test_refusal_leaves_no_cycle() -> None:
    service, _ = make_full(max_queued=1)
    waiter = Waiter(service)
    gc.disable()
    try:
        refused = Waiter(service)
        assert refused.error is not None
        error = weakref.ref(refused.error)
        refused.error = None
        assert error() is None
    finally:
        gc.enable()
    waiter.close()


def test_only_the_first_looks_up_often() -> None:
    service, _ = make_full()

    waiters = [Waiter(service), Waiter(service)]

    naps = [waiter.wait and waiter.wait.timeout for waiter in waiters]
    assert naps == pytest.approx([0.05, 1.0])


# What makes room


def test_new_backend_makes_room() -> None:
    service, _ = make_full()
    waiters = [Waiter(service), Waiter(service)]

    service.add_backend(B)

    assert waiters[0].wake().backend.url == B
    assert not waiters[1].is_woken


@pytest.mark.parametrize("act", ["undrain", "mark"])
def test_operator_makes_room(act: str) -> None:
    service = make_service([A, B], max_in_flight=1, max_queued=1)
    if act == "undrain":
        service.drain(B)
    else:
        service.mark_healthy(B, False)
    held = service.select()
    waiter = Waiter(service)

    if act == "undrain":
        service.drain(B, False)
    else:
        service.mark_healthy(B, None)

    assert waiter.wake().backend.url == B
    held.release()


def test_time_alone_makes_room() -> None:
    service = make_service([A, B], max_in_flight=1, max_queued=1, queue_timeout=9.0)
    now = service.core.clock.monotonic()
    select_only(service, B).release(outcome=Outcome.throttled(now + 0.3))
    held = service.select()
    waiter = Waiter(service)

    while waiter.wait is not None:
        waiter.nap()

    assert service.core.clock.monotonic() == pytest.approx(1000.3)
    assert waiter.selection is not None
    assert waiter.selection.backend.url == B
    held.release()


def test_what_a_look_found_is_announced_at_once() -> None:
    service = make_service([A, B], max_in_flight=1, max_queued=1, queue_timeout=9.0)
    eject(service, B)
    held = service.select()
    waiter = Waiter(service)
    told: list[events.Event] = []
    service.subscribe(told.append)

    while waiter.wait is not None:
        waiter.nap()

    assert [type(event) for event in told] == [events.BackendOnTrial]
    held.release()


def test_trial_that_passed_makes_room() -> None:
    service = make_service([A], max_in_flight=2, max_queued=1)
    held = service.select()
    service.add_backend(B)
    eject(service, B)
    advance(service, 2.0)
    trial = select_only(service, B)
    second = select_only(service, A)
    waiter = Waiter(service)
    before = waiter.is_woken

    trial.responded(outcome=Outcome.success())

    assert (before, waiter.wake().backend.url) == (False, B)
    for selection in (held, second, trial):
        selection.release()


def test_selection_that_was_dropped_makes_room_at_the_next_look() -> None:
    service, held = make_full()
    waiter = Waiter(service)

    held.clear()
    waiter.nap()

    assert waiter.selection is not None


def test_panic_has_a_queue_too() -> None:
    service = make_service([A], max_in_flight=1, max_queued=1)
    now = service.core.clock.monotonic()
    service.select().release(outcome=Outcome.throttled(now + 60))
    held = service.select()  # against its wish, there is no other
    waiter = Waiter(service)

    held.release()

    assert waiter.wake().backend.url == A


# What cannot make room


def test_service_without_backends_is_not_waited_for() -> None:
    service = make_service([], max_in_flight=1, max_queued=1)

    assert "it has none" in str(Waiter(service).error)


def test_sick_backends_are_not_waited_for_where_failing_open_is_off() -> None:
    service = make_service(
        [A], max_in_flight=1, max_queued=1, health=HealthPolicy(fail_open=False)
    )
    service.mark_healthy(A, False)

    assert "1 of 1 marked unhealthy" in str(Waiter(service).error)


@pytest.mark.parametrize("act", ["remove", "drain"])
def test_waiting_ends_when_nobody_is_left_to_wait_for(act: str) -> None:
    service, (held,) = make_full()
    waiters = [Waiter(service), Waiter(service)]

    if act == "remove":
        service.remove_backend(A)
    else:
        service.drain(A)

    for waiter in waiters:
        assert waiter.is_woken
        waiter.go_on(True)
        assert isinstance(waiter.error, NoBackendsAvailable)
    assert service.stats().queued == 0
    held.release()


# Leaving


def test_one_who_is_cancelled_leaves_the_queue() -> None:
    service, (held,) = make_full()
    gone, next_one = Waiter(service), Waiter(service)

    gone.throw(KeyboardInterrupt())
    held.release()

    next_one.wake()
    assert service.stats().queued == 0


def test_one_who_is_cancelled_with_his_turn_hands_it_on() -> None:
    service, (held,) = make_full()
    gone, next_one = Waiter(service), Waiter(service)

    held.release()
    assert gone.is_woken
    gone.throw(KeyboardInterrupt())

    next_one.wake().release()
    assert in_flight(service) == 0


def test_one_who_is_cancelled_as_the_last_leaves_room_for_all() -> None:
    service, (held,) = make_full()
    gone = Waiter(service)

    held.release()
    gone.throw(KeyboardInterrupt())

    service.select().release()
    assert service.core.announcer.watchers == []


def test_one_who_is_collected_has_left() -> None:
    service, (held,) = make_full(max_queued=2)
    gone, next_one = Waiter(service), Waiter(service)

    gone.close()
    del gone
    late = Waiter(service)
    assert service.stats().queued == 2
    held.release()

    next_one.wake().release()
    late.wake()


def test_one_who_is_collected_with_his_turn_gives_it_back() -> None:
    service, (held,) = make_full()
    gone, next_one = Waiter(service), Waiter(service)

    held.release()
    gone.close()
    del gone
    next_one.nap()

    assert next_one.selection is not None


def test_those_who_were_collected_take_up_no_place() -> None:
    service, (held,) = make_full(max_queued=2)
    first = Waiter(service)
    for _ in range(5):
        Waiter(service).close()

    waiters = [first, Waiter(service)]

    assert [waiter.error for waiter in waiters] == [None, None]
    held.release()
    waiters[0].wake()


def test_change_between_the_look_and_the_listening_is_not_missed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    service, (held,) = make_full()
    announcer = service.core.announcer
    watch, changes = announcer.watch, [None]

    def watch_late() -> Signal:
        signal = watch()
        while changes:  # another thread's, which needs no lock of the queue's
            changes.pop()
            announcer.announce()
        return signal

    monkeypatch.setattr(announcer, "watch", watch_late)
    entered = Event()

    def wait() -> None:
        waiter = Waiter(service)
        entered.set()
        waiter.close()

    Thread(target=wait, daemon=True).start()

    assert entered.wait(10)
    held.release()
    assert service.stats().queued == 0


def test_empty_queue_watches_nothing() -> None:
    service, (held,) = make_full()
    waiter = Waiter(service)

    held.release()
    waiter.wake().release()

    assert service.core.announcer.watchers == []


def test_wakening_that_was_lost_is_made_up_for() -> None:
    service, (held,) = make_full()
    waiter = Waiter(service)

    service.core.announcer.watchers.clear()  # as an interrupt may do
    held.release()
    assert not waiter.is_woken
    waiter.nap()

    assert waiter.selection is not None


def test_child_of_a_fork_has_nobody_waiting() -> None:
    service, _ = make_full()
    waiter = Waiter(service)

    service.core.reset_after_fork()

    assert service.stats().queued == 0
    service.select().release()
    waiter.close()


def give_way(service: LoadBalancer, held: Selection, leaving: bool) -> None:
    waiter = Waiter(service)
    held.release()
    if leaving:
        waiter.throw(ZeroDivisionError())
    else:
        waiter.go_on(True)
        assert waiter.selection is not None
        waiter.selection.release()


@pytest.mark.parametrize("leaving", [False, True])
def test_interrupt_at_any_instant_leaves_nothing_behind(leaving: bool) -> None:
    step, was_interrupted = 0, True
    while was_interrupted:
        service, (held,) = make_full()
        was_interrupted = True
        with interrupted_at(step):
            give_way(service, held, leaving)
            was_interrupted = False
        held.release()
        step += 1
        service.wait_ready(0)
        assert in_flight(service) == 0, step
        assert service.stats().queued == 0, step
        Waiter(service).close()
        service.select().release()
    assert step > 50


# The public face


def test_queue_without_a_limit_of_the_backends_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="max_queued=5: without max_in_flight"):
        make_service(max_queued=5)


def test_state_of_a_backend_that_is_full_is_as_always() -> None:
    service, _ = make_full()

    assert states_of(service) == {A: "closed"}


class Life(RuleBasedStateMachine):
    """A service with little room, of which somebody asks all in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.service = make_service(
            [A, B], max_in_flight=1, max_queued=4, queue_timeout=None, strategy="random"
        )
        self.held: list[Selection] = []
        self.waiters: list[Waiter] = []

    def collect(self) -> None:
        """Let all who were woken go on."""
        for waiter in [waiter for waiter in self.waiters if waiter.is_woken]:
            waiter.go_on(True)
            self.waiters.remove(waiter)
            if waiter.selection is None:
                assert isinstance(waiter.error, NoBackendsAvailable)
            else:
                self.held.append(waiter.selection)

    @rule()
    def ask(self) -> None:
        was_waiting = len(self.waiters)
        waiter = Waiter(self.service)
        if waiter.wait is not None:
            self.waiters.append(waiter)
        elif waiter.selection is not None:
            assert not was_waiting  # or it overtook somebody
            self.held.append(waiter.selection)
        else:
            everybody_drains = set(states_of(self.service).values()) <= {"draining"}
            assert was_waiting == 4 or everybody_drains

    @precondition(lambda self: self.held)
    @rule(
        data=st.data(),
        outcome=st.sampled_from([Outcome.success(), REFUSED, STATUS_500]),
    )
    def release(self, data: st.DataObject, outcome: Outcome) -> None:
        held = self.held.pop(data.draw(st.integers(0, len(self.held) - 1)))
        advance(self.service, 0.001)
        held.release(outcome=outcome)

    @precondition(lambda self: self.held)
    @rule()
    def drop(self) -> None:
        self.held.pop()
        self.service.stats()  # settles; otherwise the next look does

    @precondition(lambda self: self.waiters)
    @rule(data=st.data(), error=st.sampled_from([KeyboardInterrupt(), GeneratorExit()]))
    def leave(self, data: st.DataObject, error: BaseException) -> None:
        place = data.draw(st.integers(0, len(self.waiters) - 1))
        self.waiters.pop(place).throw(error)

    @precondition(lambda self: self.waiters)
    @rule()
    def nap(self) -> None:
        waiter = self.waiters[0]
        waiter.nap()
        if waiter.wait is None:
            self.waiters.remove(waiter)
            assert waiter.selection is not None
            self.held.append(waiter.selection)

    @rule(url=st.sampled_from([A, B]), draining=st.booleans())
    def drain(self, url: str, draining: bool) -> None:
        self.service.drain(url, draining)

    @rule(url=st.sampled_from([A, B]), healthy=st.sampled_from([True, False, None]))
    def mark(self, url: str, healthy: bool | None) -> None:
        self.service.mark_healthy(url, healthy)

    @invariant()
    def first_come_is_first_served(self) -> None:
        woken = [waiter.is_woken for waiter in self.waiters]
        assert woken == sorted(woken, reverse=True)

    @invariant()
    def nobody_waits_where_there_is_room(self) -> None:
        self.collect()
        stats = self.service.stats()
        assert stats.queued == len(self.waiters)
        assert all(0 <= one.in_flight <= 1 for one in stats.backends)
        assert sum(one.in_flight for one in stats.backends) == len(self.held)
        if self.waiters:
            self.service.core._roster.refresh(self.service.core.clock.monotonic())
            assert self.service.core._roster.selectable.is_full

    def teardown(self) -> None:
        while self.waiters or self.held:
            while self.held:
                self.held.pop().release()
            self.collect()
        assert in_flight(self.service) == 0
        assert self.service.core.announcer.watchers == []


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=60, stateful_step_count=40)
