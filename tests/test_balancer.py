"""The balancer: filter, health and accounts together, on a clock moved by hand."""

from __future__ import annotations

import contextlib
import random
import threading
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
)

from lbtransport import (
    Backend,
    HealthPolicy,
    LoadBalancer,
    NoBackendsAvailable,
    Outcome,
    Selection,
    events,
)
from lbtransport._backends import BackendState
from lbtransport._candidates import is_usable
from lbtransport.strategies import STRATEGIES
from tests.helpers_core import (
    CUT,
    REFUSED,
    STATUS_500,
    TIMEOUT,
    URLS,
    A,
    B,
    C,
    D,
    advance,
    answer,
    eject,
    fail_at_once,
    in_flight,
    make_service,
    select_only,
    states_of,
    stats_of,
)

SUCCESS = Outcome.success()


def chosen(service: LoadBalancer, times: int = 60) -> set[str]:
    """Return the backends that get requests, one after the other."""
    found = set()
    for _ in range(times):
        with service.select() as selection:
            found.add(selection.backend.url)
    return found


def wait_for_return(service: LoadBalancer, url: str) -> None:
    advance(service, stats_of(service, url).returns_in or 0.0)


def kinds(service: LoadBalancer) -> list[type]:
    """Note the kinds of the events from now on."""
    found: list[type] = []
    service.subscribe(lambda event: found.append(type(event)))
    return found


# Selecting


def test_all_backends_are_used() -> None:
    assert chosen(make_service([A, B, C])) == {A, B, C}


def test_excluded_backend_is_not_selected() -> None:
    service = make_service([A, B])

    assert {service.select(exclude=[A]).backend.url for _ in range(20)} == {B}
    assert {service.select(exclude=[Backend(B)]).backend.url for _ in range(20)} == {A}


def test_nobody_is_left_when_all_are_excluded() -> None:
    service = make_service([A, B])

    with pytest.raises(NoBackendsAvailable, match="2 of 2 already tried"):
        service.select(exclude=[A, B])


def test_lower_priorities_serve_while_the_higher_are_unusable() -> None:
    service = make_service([Backend(A), Backend(B), Backend(C, priority=1)])
    assert chosen(service) == {A, B}

    service.drain(A)
    service.drain(B)
    assert chosen(service) == {C}

    service.drain(B, False)
    assert chosen(service) == {B}


def test_lower_priorities_take_what_does_not_fit() -> None:
    service = make_service([Backend(A), Backend(B, priority=1)], max_in_flight=2)

    urls = [service.select() for _ in range(4)]

    assert [s.backend.url for s in urls] == [A, A, B, B]


def test_excluding_the_first_group_gives_the_next() -> None:
    service = make_service([Backend(A), Backend(B, priority=1), Backend(C, weight=0)])

    assert service.select(exclude=[A]).backend.url == B
    assert service.select(exclude=[A, B]).backend.url == C


def test_own_zone_serves_while_it_is_usable() -> None:
    service = make_service([Backend(A, zone="a"), Backend(B, zone="b")], zone="b")
    assert chosen(service) == {B}

    service.mark_healthy(B, False)
    assert chosen(service) == {A}


def test_weight_0_serves_only_when_no_other_is_left() -> None:
    service = make_service([Backend(A, weight=0), Backend(B)])
    assert chosen(service) == {B}

    service.drain(B)
    assert chosen(service) == {A}


def test_all_of_weight_0_are_equal() -> None:
    service = make_service([Backend(A, weight=0), Backend(B, weight=0)])

    assert chosen(service) == {A, B}


@pytest.mark.parametrize("strategy", sorted(STRATEGIES))
def test_backend_gets_no_more_than_its_room(strategy: str) -> None:
    service = make_service([A, B], max_in_flight=3, strategy=strategy)

    selections = [service.select() for _ in range(6)]

    assert [b.in_flight for b in service.stats().backends] == [3, 3]
    with pytest.raises(NoBackendsAvailable, match="2 of 2 at max_in_flight"):
        service.select()
    selections[0].release()
    assert service.select().backend == selections[0].backend


def test_subset_keeps_to_a_part_of_the_fleet() -> None:
    fleet = [f"http://10.0.1.{number}" for number in range(20)]
    service = make_service(fleet, subset=3)

    used = chosen(service)

    assert len(used) == 3
    assert len(service.backends) == 20
    assert sum(b.total for b in service.stats().backends if b.backend.url in used) == 60


def test_subset_of_each_balancer_is_its_own() -> None:
    fleet = [f"http://10.0.1.{number}" for number in range(20)]
    subsets = {
        frozenset(
            chosen(LoadBalancer("orders", fleet, subset=3, rng=random.Random(seed)), 60)
        )
        for seed in range(5)
    }

    assert len(subsets) == 5


def test_subset_is_refilled_when_one_of_it_leaves() -> None:
    fleet = [f"http://10.0.1.{number}" for number in range(20)]
    service = make_service(fleet, subset=3)
    before = chosen(service)

    service.remove_backend(min(before))

    assert len(chosen(service)) == 3
    assert chosen(service) > before - {min(before)}


def test_ejected_backend_outside_the_subset_leaves_the_cap_alone() -> None:
    fleet = [f"http://10.0.1.{number}" for number in range(30)]
    service = make_service(fleet, subset=2)
    sick = min(chosen(service))
    select = select_only
    for _ in range(5):
        selection = select(service, sick)
        advance(service, 0.001)
        selection.release(outcome=CUT)
    assert states_of(service)[sick] == "ejected"

    # The newcomers push the ejected one out of the subset, though not out of the list.
    number = 0
    while sick in {s.backend.url for s in service.core._roster.members}:
        service.add_backend(f"http://10.0.2.{number}")
        number += 1
    other = min(s.backend.url for s in service.core._roster.members)
    answer(service, other, *[CUT] * 5)

    assert states_of(service)[other] == "ejected"


# Ejection


def test_ejected_backend_gets_nothing() -> None:
    service = make_service([A, B, C])

    eject(service, A)

    assert chosen(service) == {B, C}
    assert not stats_of(service, A).healthy


def test_ten_that_fail_together_are_one_ejection() -> None:
    service = make_service([A, B])
    heard = kinds(service)

    fail_at_once(service, A, 10, CUT)

    assert heard == [events.BackendEjected]
    assert 0.8 <= (stats_of(service, A).returns_in or 0) <= 1.2
    assert stats_of(service, A).failures == 10


def test_failures_within_the_instant_of_the_ejection_are_one_episode() -> None:
    service = make_service([A, B])
    selections = [select_only(service, A) for _ in range(10)]

    for selection in selections:
        selection.release(outcome=CUT)

    assert service.core._roster.table.find(A).circuit.times_ejected == 1


def test_ejection_is_over_after_its_time() -> None:
    service = make_service([A, B])
    eject(service, A)

    returns_in = stats_of(service, A).returns_in
    assert returns_in is not None
    advance(service, returns_in - 0.001)
    assert chosen(service) == {B}
    advance(service, 0.002)
    assert states_of(service)[A] == "half_open"
    assert chosen(service) == {A, B}
    assert states_of(service)[A] == "closed"


def test_half_open_backend_gets_exactly_one_request() -> None:
    service = make_service([A, B])
    eject(service, A)
    wait_for_return(service, A)

    selections = [service.select() for _ in range(50)]

    assert [s.backend.url for s in selections].count(A) == 1


@pytest.mark.parametrize(
    "end",
    [
        Selection.cancel,
        lambda s: s.release(outcome=Outcome.neutral()),
        lambda s: s.release(error=ValueError()),
        lambda s: s.responded(outcome=Outcome.neutral()),
    ],
    ids=["cancelled", "neutral", "local error", "neutral headers"],
)
def test_trial_without_a_verdict_is_repeated(end: Callable[[Selection], Any]) -> None:
    service = make_service([A, B])
    eject(service, A)
    wait_for_return(service, A)
    trial = select_only(service, A)

    end(trial)

    assert states_of(service)[A] == "half_open"
    select_only(service, A).release()
    assert states_of(service)[A] == "closed"


def test_dropped_trial_is_repeated() -> None:
    service = make_service([A, B])
    eject(service, A)
    wait_for_return(service, A)

    select_only(service, A)  # dropped at once

    assert states_of(service)[A] == "half_open"
    select_only(service, A).release()
    assert states_of(service)[A] == "closed"


def test_trial_that_is_on_keeps_all_others_away() -> None:
    service = make_service([A, B])
    eject(service, A)
    wait_for_return(service, A)
    trial = select_only(service, A)

    advance(service, 1000)

    assert chosen(service) == {B}
    trial.release()
    assert chosen(service) == {A, B}


def test_trial_is_judged_by_its_headers() -> None:
    service = make_service([A, B], strategy="random")
    eject(service, A)
    wait_for_return(service, A)
    trial = select_only(service, A)

    trial.responded(outcome=SUCCESS)

    assert chosen(service) == {A, B}
    trial.release()


def test_clock_is_read_under_the_lock_so_that_no_thread_lives_in_the_past() -> None:
    service = make_service([A, B])
    core, read_under_lock = service.core, list[bool]()

    def now() -> float:
        read_under_lock.append(core._lock.locked())
        return core.clock.monotonic()

    core._now = now
    selection = service.select()
    selection.responded()
    selection.release()

    assert read_under_lock == [True] * 3


@pytest.mark.parametrize("outcome", [CUT, SUCCESS, Outcome.neutral()])
def test_trial_that_was_overtaken_says_nothing_of_the_next_one(
    outcome: Outcome,
) -> None:
    service = make_service([A, B])
    eject(service, A)
    wait_for_return(service, A)
    overtaken = select_only(service, A)
    service.drain(B)
    advance(service, 0.001)
    service.select().release(outcome=REFUSED)  # in a panic
    wait_for_return(service, A)
    trial = service.select()

    overtaken.release(outcome=outcome)

    assert trial.trial == service.core._roster.table.find(A).circuit.trial != 0
    assert stats_of(service, A).state == "half_open"
    trial.release()


def test_refused_trial_ejects_again_for_longer() -> None:
    service = make_service([A, B])
    heard = kinds(service)
    eject(service, A)
    wait_for_return(service, A)

    select_only(service, A).release(outcome=REFUSED)

    assert heard == [events.BackendEjected] * 2
    assert 1.6 <= (stats_of(service, A).returns_in or 0) <= 2.4


def test_success_sent_before_the_ejection_does_not_end_it() -> None:
    service = make_service([A, B])
    early = select_only(service, A)
    advance(service, 0.001)
    eject(service, A)

    early.release()

    assert states_of(service)[A] == "ejected"


def test_late_failures_do_not_touch_the_returned_backend() -> None:
    service = make_service([A, B])
    early = [select_only(service, A) for _ in range(10)]
    advance(service, 0.001)
    eject(service, A)
    wait_for_return(service, A)
    select_only(service, A).release()

    for selection in early:
        selection.release(outcome=CUT)

    assert states_of(service)[A] == "closed"


def test_half_of_the_backends_at_most_are_ejected_on_soft_evidence() -> None:
    service = make_service(URLS, health=HealthPolicy(base_ejection_time=10))

    for url in URLS:
        with contextlib.suppress(NoBackendsAvailable):
            answer(service, url, *[CUT] * 6)

    assert list(states_of(service).values()) == ["ejected"] * 2 + ["closed"] * 2


def test_all_but_the_last_are_ejected_on_hard_evidence() -> None:
    service = make_service(URLS, health=HealthPolicy(base_ejection_time=10))

    for url in URLS:
        answer(service, url, *[REFUSED] * 5)

    assert list(states_of(service).values()) == ["ejected"] * 3 + ["closed"]


def test_last_in_rotation_is_not_ejected_while_the_others_wait_for_a_trial() -> None:
    service = make_service([A, B])
    eject(service, A)
    wait_for_return(service, A)

    answer(service, B, *[REFUSED] * 10)

    assert states_of(service)[B] == "closed"


@pytest.mark.parametrize("unused", ["drained", "marked", "other priority"])
def test_shared_fault_of_a_backend_out_of_use_protects_nobody(unused: str) -> None:
    service = make_service([Backend(A, priority=int(unused == "other priority")), B, C])
    for url in (A, B, C):
        answer(service, url, STATUS_500 if url == A else SUCCESS)
    if unused == "drained":
        service.drain(A)
    elif unused == "marked":
        service.mark_healthy(A, False)
    advance(service, 3600)

    for _ in range(10):
        answer(service, C, SUCCESS)
        if states_of(service)[B] == "closed":
            answer(service, B, STATUS_500)

    assert states_of(service)[B] == "ejected"


def test_poison_request_ejects_nobody() -> None:
    service = make_service([A, B, C])

    for _ in range(60):
        with service.select() as selection:
            selection.responded(outcome=STATUS_500)

    assert set(states_of(service).values()) == {"closed"}


def test_one_hanging_backend_of_three_is_ejected() -> None:
    service = make_service([A, B, C])

    for _ in range(60):
        selection = service.select()
        advance(service, 0.01)
        selection.release(outcome=TIMEOUT if selection.backend.url == A else SUCCESS)

    assert states_of(service) == {A: "ejected", B: "closed", C: "closed"}


def test_timeouts_are_widespread_by_what_the_others_show() -> None:
    service = make_service([A, B])

    answer(service, B, TIMEOUT, TIMEOUT, TIMEOUT)

    assert service.core.timeouts_are_widespread(Backend(A))
    assert not service.core.timeouts_are_widespread(Backend(B))


def test_timeout_of_a_removed_backend_is_no_brownout() -> None:
    service = make_service([A, B])
    answer(service, B, TIMEOUT, TIMEOUT, TIMEOUT)

    assert not service.core.timeouts_are_widespread(Backend(C))


# Panic


def make_sick(*urls: str, **options: Any) -> LoadBalancer:
    """Make a service of which each backend asked to be left alone."""
    service = make_service(urls, **options)
    for seconds, url in enumerate(urls, 1):
        select_only(service, url).release(
            outcome=Outcome.throttled(1000.0 + 10 * seconds)
        )
    return service


def test_panic_uses_the_most_promising_backend() -> None:
    service = make_sick(B, A, C)

    assert chosen(service) == {B}


def test_panic_is_entered_and_left_once() -> None:
    service = make_sick(A, B)
    heard = kinds(service)

    chosen(service)
    chosen(service)
    service.add_backend(C)
    chosen(service)
    chosen(service)

    assert heard == [events.PanicEntered, events.BackendAdded, events.PanicLeft]


def test_success_in_a_panic_returns_the_backend() -> None:
    service = make_service([A, B])
    eject(service, A)
    service.drain(B)
    advance(service, 0.01)
    heard = kinds(service)

    service.select().release()

    assert heard == [events.PanicEntered, events.BackendReturned]
    assert states_of(service)[A] == "closed"


def test_failures_in_a_panic_take_turns() -> None:
    service = make_service([A, B, C])
    eject(service, A)
    eject(service, B)
    service.drain(C)
    urls = []

    for _ in range(6):
        advance(service, 0.001)
        selection = service.select()
        urls.append(selection.backend.url)
        advance(service, 0.001)
        selection.release(outcome=REFUSED)

    assert urls == [A, B] * 3


def test_panic_does_not_overrule_the_drain() -> None:
    service = make_sick(A, B)
    service.drain(A)
    service.drain(B)

    with pytest.raises(NoBackendsAvailable, match="2 of 2 draining; see stats"):
        service.select()


def test_panic_uses_another_when_the_most_promising_one_is_full() -> None:
    service = make_sick(A, B, max_in_flight=1)

    first, second = service.select(), service.select()

    assert [first.backend.url, second.backend.url] == [A, B]


# Failing closed


CLOSED = HealthPolicy(fail_open=False)


def refusal_of(service: LoadBalancer) -> str:
    with pytest.raises(NoBackendsAvailable) as refusal:
        service.select()
    return str(refusal.value)


def test_failing_closed_says_what_is_wrong_with_each() -> None:
    service = make_service([A, B, C, D], health=CLOSED, max_in_flight=5)
    eject(service, A)
    service.drain(B)
    service.mark_healthy(C, False)
    select_only(service, D).release(outcome=Outcome.throttled(1005.0))

    message = refusal_of(service)

    assert message.startswith("no backend of 'orders' can be selected: 1 of 4 ")
    assert message.endswith(" s; see stats()")
    for reason in ("ejected", "draining", "marked unhealthy", "throttled"):
        assert f"1 of 4 {reason}, " in message
    assert ", the first returns in " in message


def test_failing_closed_counts_those_alike() -> None:
    service = make_service([A, B, C], health=CLOSED)
    for url in (A, B, C):
        select_only(service, url).release(outcome=Outcome.throttled(1012.4))

    assert refusal_of(service) == (
        "no backend of 'orders' can be selected: 3 of 3 throttled, the first returns "
        "in 12.4 s; see stats()"
    )


def test_failing_closed_while_a_trial_is_on() -> None:
    service = make_service([A, B], health=CLOSED)
    eject(service, A)
    service.drain(B)
    wait_for_return(service, A)

    service.select()
    selection = service.select()  # the first was dropped

    message = refusal_of(service)
    assert "1 of 2 half open" in message
    assert "the first returns" not in message
    selection.release()
    service.select().release()


def test_failing_closed_is_no_panic() -> None:
    service = make_sick(A, B, health=CLOSED)
    heard = kinds(service)

    refusal_of(service)

    assert heard == []


# Throttling


def test_throttled_backend_is_out_of_rotation_and_comes_back() -> None:
    service = make_service([A, B])
    heard = kinds(service)

    select_only(service, A).release(outcome=Outcome.throttled(1005.0))

    assert stats_of(service, A).returns_in == 5.0
    assert states_of(service)[A] == "throttled"
    assert chosen(service) == {B}
    advance(service, 4.999)
    assert chosen(service) == {B}
    advance(service, 0.001)
    assert chosen(service) == {A, B}
    assert heard == [events.BackendThrottled]


def test_shorter_throttling_does_not_cut_a_longer_one() -> None:
    service = make_service([A, B])
    first, second, third = (select_only(service, A) for _ in range(3))

    first.release(outcome=Outcome.throttled(1005.0))
    second.release(outcome=Outcome.throttled(1002.0))
    assert stats_of(service, A).returns_in == 5.0
    third.release(outcome=Outcome.throttled(1009.0))
    assert stats_of(service, A).returns_in == 9.0


def test_throttling_until_now_is_none() -> None:
    service = make_service([A, B])

    select_only(service, A).release(outcome=Outcome.throttled(1000.0))

    assert states_of(service)[A] == "closed"


def test_throttling_is_no_failure() -> None:
    service = make_service([A, B])

    for _ in range(10):
        select_only(service, A).release(outcome=Outcome.throttled(1000.0))

    assert stats_of(service, A).failures == 0


# The operator's will


def test_mark_overrules_the_evidence_until_it_is_taken_back() -> None:
    service = make_service([A, B])
    eject(service, A)

    service.mark_healthy(A, True)
    assert states_of(service)[A] == "marked_healthy"
    assert stats_of(service, A).healthy
    assert stats_of(service, A).returns_in is None
    assert A in {service.select().backend.url for _ in range(20)}
    service.mark_healthy(A, None)
    assert states_of(service)[A] == "ejected"


def test_marked_unhealthy_gets_nothing_until_it_is_taken_back() -> None:
    service = make_service([A, B])

    service.mark_healthy(A, False)
    assert chosen(service) == {B}
    assert not stats_of(service, A).healthy
    service.mark_healthy(A, None)
    assert chosen(service) == {A, B}


def test_drained_backend_gets_nothing_and_keeps_what_it_has() -> None:
    service = make_service([A, B])
    selection = select_only(service, A)

    service.drain(A)
    assert chosen(service) == {B}
    assert states_of(service)[A] == "draining"
    assert stats_of(service, A).in_flight == 1
    selection.release()
    assert stats_of(service, A).in_flight == 0
    service.drain(A, False)
    assert chosen(service) == {A, B}


@pytest.mark.parametrize(
    "act",
    [
        lambda service: service.remove_backend(D),
        lambda service: service.mark_healthy(D, True),
        lambda service: service.drain(D),
        lambda service: service.wait_drained(D, 0),
    ],
    ids=["remove", "mark", "drain", "wait"],
)
def test_unknown_backend_is_a_key_error(act: Callable[[LoadBalancer], Any]) -> None:
    service = make_service([A])

    with pytest.raises(KeyError, match="is no backend here"):
        act(service)


# Membership


def test_added_backend_is_used_and_removed_one_is_not() -> None:
    service = make_service([A])

    service.add_backend(B)
    assert chosen(service) == {A, B}
    service.remove_backend(f"{A}/")
    assert chosen(service) == {B}


def test_update_makes_the_list_what_it_says() -> None:
    service = make_service([A, B])

    service.update_backends(iter([Backend(C), Backend(B)]))

    assert [b.url for b in service.backends] == [B, C]
    assert chosen(service) == {B, C}


def test_new_attributes_count_at_once() -> None:
    service = make_service([A, B])
    chosen(service)

    service.update_backends([Backend(A, priority=1), B])
    assert chosen(service) == {B}
    service.add_backend(Backend(A, priority=0))
    assert chosen(service) == {A, B}


# Statistics


def test_statistics_count() -> None:
    service = make_service([A, B])
    answer(service, A, SUCCESS, CUT, SUCCESS)
    answer(service, B, SUCCESS)
    advance(service, 9.0)

    found = stats_of(service, A)

    assert (found.total, found.failures, found.share) == (3, 1, 0.75)
    assert found.last_used == pytest.approx(1000.004)
    assert found.healthy
    assert found.state == "closed"
    assert found.returns_in is None


def test_statistics_of_an_idle_service() -> None:
    (found,) = make_service([A]).stats().backends

    assert (found.total, found.share, found.latency, found.last_used) == (
        0,
        0.0,
        None,
        None,
    )


def test_statistics_are_a_copy() -> None:
    service = make_service([A])
    before = service.stats()

    service.select().release()

    assert before.name == "orders"
    assert before.backends[0].total == 0


def test_trial_that_is_on_returns_at_no_known_time() -> None:
    service = make_service([A, B])
    eject(service, A)
    wait_for_return(service, A)
    assert stats_of(service, A).returns_in == 0.0

    trial = select_only(service, A)

    assert (stats_of(service, A).state, stats_of(service, A).returns_in) == (
        "half_open",
        None,
    )
    trial.release()


# All of it, in any order


class Life(RuleBasedStateMachine):
    """A service in the hands of somebody who does everything in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.service = make_service([A, B], strategy="random")
        self.held: list[Selection] = []

    def states(self) -> list[BackendState]:
        return list(self.service.core._roster.table)

    def ejected(self) -> int:
        return sum(not state.circuit.is_closed for state in self.states())

    def usable(self) -> set[str]:
        now = self.service.core.clock.monotonic()
        return {state.backend.url for state in self.states() if is_usable(state, now)}

    def take(self, data: st.DataObject) -> Selection:
        return self.held.pop(data.draw(st.integers(0, len(self.held) - 1)))

    def finish(self, selection: Selection, outcome: Outcome) -> None:
        """Release, and see whom that ejected."""
        before = self.ejected()
        selection.release(outcome=outcome)
        if self.ejected() > before and not outcome.hard:
            assert self.ejected() <= max(1, len(self.states()) // 2)

    @rule()
    def select(self) -> None:
        usable = self.usable()
        try:
            selection = self.service.select()
        except NoBackendsAvailable:
            assert all(state.is_draining for state in self.states())
        else:
            assert selection.backend.url in usable or not usable
            self.held.append(selection)

    @precondition(lambda self: self.held)
    @rule(data=st.data(), outcome=st.sampled_from([None, SUCCESS, STATUS_500]))
    def respond(self, data: st.DataObject, outcome: Outcome | None) -> None:
        selection = self.take(data)
        selection.responded(outcome=outcome)
        self.held.append(selection)

    @precondition(lambda self: self.held)
    @rule(
        data=st.data(),
        outcome=st.sampled_from([SUCCESS, CUT, REFUSED, STATUS_500, TIMEOUT]),
    )
    def release(self, data: st.DataObject, outcome: Outcome) -> None:
        self.finish(self.take(data), outcome)

    @rule(outcome=st.sampled_from([CUT, REFUSED]))
    def fail_in_a_row(self, outcome: Outcome) -> None:
        for _ in range(6):
            with contextlib.suppress(NoBackendsAvailable):
                selection = self.service.select()
                advance(self.service, 0.001)
                self.finish(selection, outcome)

    @precondition(lambda self: self.held)
    @rule(data=st.data(), seconds=st.floats(0, 5))
    def throttle(self, data: st.DataObject, seconds: float) -> None:
        until = self.service.core.clock.monotonic() + seconds
        self.finish(self.take(data), Outcome.throttled(until))

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        self.take(data).cancel()

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def drop(self, data: st.DataObject) -> None:
        self.take(data)

    @rule(url=st.sampled_from(URLS))
    def add(self, url: str) -> None:
        self.service.add_backend(url)

    @precondition(lambda self: self.service.backends)
    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        self.service.remove_backend(data.draw(st.sampled_from(self.service.backends)))

    @rule(urls=st.lists(st.sampled_from(URLS), unique=True))
    def update(self, urls: list[str]) -> None:
        self.service.update_backends(urls)

    @precondition(lambda self: self.service.backends)
    @rule(data=st.data(), healthy=st.sampled_from([True, False, None]))
    def mark(self, data: st.DataObject, healthy: bool | None) -> None:
        backend = data.draw(st.sampled_from(self.service.backends))
        self.service.mark_healthy(backend, healthy)

    @precondition(lambda self: self.service.backends)
    @rule(data=st.data(), draining=st.booleans())
    def drain(self, data: st.DataObject, draining: bool) -> None:
        backend = data.draw(st.sampled_from(self.service.backends))
        self.service.drain(backend, draining)

    @rule(seconds=st.floats(0.001, 20))
    def pass_time(self, seconds: float) -> None:
        advance(self.service, seconds)

    @invariant()
    def accounts_are_right(self) -> None:
        here = set(map(id, self.states()))
        expected = sum(id(selection.state) in here for selection in self.held)
        assert in_flight(self.service) == expected

    @invariant()
    def trial_is_on_only_while_somebody_holds_it(self) -> None:
        held = {(id(s.state), s.trial) for s in self.held if s.trial}
        in_flight(self.service)  # settles what was dropped
        for state in self.states():
            trial = state.circuit.trial
            assert not trial or (id(state), trial) in held
            assert not (trial and state.circuit.is_closed)

    def teardown(self) -> None:
        while self.held:
            self.held.pop().release()
        assert in_flight(self.service) == 0


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=60, stateful_step_count=40)


def test_one_lock_serves_many_threads() -> None:
    service = make_service([A, B, C])

    def work() -> None:
        for _ in range(200):
            with service.select():
                service.stats()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert in_flight(service) == 0
    assert sum(b.total for b in service.stats().backends) == 800
