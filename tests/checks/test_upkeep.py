"""When backends are checked, and how many checks in a row say something."""

from __future__ import annotations

import errno
import itertools
import math
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbtransport import ConfigurationError, HealthPolicy, LoadBalancer, events
from lbtransport._upkeep import Pace
from tests.checks.kit import Fleet
from tests.core_kit import REFUSED, A, B, C, D, eject, select_only, states_of, stats_of


def verdicts(fleet: Fleet) -> dict[str, bool | None]:
    return {s.backend.url: s.checked for s in fleet.service.stats().backends}


def is_out(url: str) -> Any:
    return lambda service: stats_of(service, url).checked is False


def is_in(url: str) -> Any:
    return lambda service: stats_of(service, url).checked is True


# How many in a row


@pytest.mark.parametrize("fall", [1, 2, 5])
def test_backend_is_out_after_so_many_failures_in_a_row(fall: int) -> None:
    fleet = Fleet(Pace(fall=fall))
    fleet.sick.add(A)

    fleet.run(3600, is_out(A))

    assert len(fleet.times_of(A)) == fall
    assert states_of(fleet.service)[A] == "failing_checks"
    assert not stats_of(fleet.service, A).healthy
    assert stats_of(fleet.service, A).returns_in is None
    assert {fleet.service.select().backend.url for _ in range(30)} == {B, C}


@pytest.mark.parametrize("rise", [1, 2, 5])
def test_backend_is_back_after_so_many_passes_in_a_row(rise: int) -> None:
    fleet = Fleet(Pace(rise=rise))
    fleet.sick.add(A)
    fleet.run(3600, is_out(A))
    fleet.checked.clear()
    fleet.sick.clear()

    fleet.run(3600, is_in(A))

    assert len(fleet.times_of(A)) == rise
    assert states_of(fleet.service)[A] == "closed"
    assert A in {fleet.service.select().backend.url for _ in range(30)}


def test_failures_that_are_not_in_a_row_take_nobody_out() -> None:
    fleet = Fleet(Pace(fall=3, jitter=0.0))
    for _ in range(5):
        fleet.sick = {A}
        fleet.run(15)
        fleet.sick = set()
        fleet.run(15)

    assert verdicts(fleet)[A] is not False
    assert len(fleet.times_of(A)) >= 15


def test_passes_that_are_not_in_a_row_bring_nobody_back() -> None:
    fleet = Fleet(Pace(fall=1, rise=2, jitter=0.0, down_interval=10))
    for _ in range(5):
        fleet.sick = {A}
        fleet.run(10)
        fleet.sick = set()
        fleet.run(10)

    assert verdicts(fleet)[A] is False


def test_client_without_files_for_connections_takes_nobody_out() -> None:
    fleet = Fleet(Pace(fall=1))
    fleet.sick.update([A, B, C])
    fleet.error = OSError(errno.EMFILE, "Too many open files")

    fleet.run(60)

    assert set(verdicts(fleet).values()) == {None}


def test_closing_ends_all_checks() -> None:
    fleet = Fleet()
    fleet.run(60)

    fleet.service.core.findings.close()
    fleet.checked.clear()
    fleet.run(60)

    assert fleet.checked == []
    assert not fleet.is_running


def test_nobody_is_out_before_anything_is_known() -> None:
    fleet = Fleet()
    fleet.sick.update([A, B, C])

    fleet.run(10)

    assert set(verdicts(fleet).values()) == {None}
    assert fleet.service.stats().backends[0].healthy


# When


def test_first_checks_are_spread_over_the_jitter() -> None:
    backends = [f"http://10.0.1.{number}" for number in range(100)]
    fleet = Fleet(Pace(interval=10, jitter=0.2), backends)

    fleet.run(3)

    first = sorted(at - 1000 for at, _ in fleet.checked)
    assert len(first) == 100
    assert 0 <= first[0] < 0.2
    assert 1.8 < first[-1] <= 2
    assert all(later - sooner < 0.3 for sooner, later in itertools.pairwise(first))


def test_intervals_are_drawn_longer_and_shorter_by_the_jitter() -> None:
    fleet = Fleet(Pace(interval=10, jitter=0.2))

    fleet.run(2000)

    times = fleet.times_of(A)
    gaps = [later - sooner for sooner, later in itertools.pairwise(times)]
    assert 8 <= min(gaps) < 8.2
    assert 11.8 < max(gaps) <= 12
    assert sum(gaps) / len(gaps) == pytest.approx(10, rel=0.05)


def test_time_that_a_check_takes_is_not_added_to_the_interval() -> None:
    fleet = Fleet(Pace(interval=10, jitter=0.0, fall=1000))
    fleet.sick.add(A)
    fleet.duration = 2.0

    fleet.run(101)

    assert len(fleet.times_of(A)) == len(fleet.times_of(B)) == 11


def test_check_begins_only_when_the_one_before_is_over() -> None:
    fleet = Fleet(Pace(interval=1, jitter=0.0, fall=1000))
    fleet.sick.add(A)
    fleet.duration = 5.0

    fleet.run(21)

    assert len(fleet.times_of(A)) == 5


@pytest.mark.parametrize(("down_interval", "expected"), [(None, 5.0), (2.0, 2.0)])
def test_backend_that_is_out_is_checked_more_often(
    down_interval: float | None, expected: float
) -> None:
    fleet = Fleet(Pace(interval=10, jitter=0.0, down_interval=down_interval))
    fleet.sick.add(A)
    fleet.run(3600, is_out(A))
    fleet.checked.clear()

    fleet.run(60)

    assert len(fleet.times_of(A)) == 60 / expected
    assert len(fleet.times_of(B)) == 6


@given(
    seed=st.integers(0, 1000),
    fall=st.integers(1, 4),
    rise=st.integers(1, 4),
    begin=st.floats(0, 50),
)
def test_death_and_return_are_found_in_the_time_that_the_settings_give(
    seed: int, fall: int, rise: int, begin: float
) -> None:
    pace = Pace(fall=fall, rise=rise, down_interval=10)
    fleet = Fleet(pace, seed=seed)
    fleet.run(begin + 100)
    fleet.sick.add(A)
    fleet.duration = pace.timeout

    until_out = fleet.run(3600, is_out(A))
    fleet.run(begin)
    fleet.sick.clear()
    until_back = fleet.run(3600, is_in(A))

    # A check that began while it was sick may still be on.
    assert until_out <= fall * 10 * 1.2 + pace.timeout
    assert until_back <= rise * 10 * 1.2


# Whom


def test_backends_that_come_are_checked_and_those_that_go_no_longer() -> None:
    fleet = Fleet(backends=[A, B])
    fleet.run(20)
    fleet.checked.clear()

    fleet.service.update_backends([B, C])
    fleet.run(20)
    fleet.service.add_backend(D)
    fleet.service.remove_backend(B)
    fleet.run(20)
    fleet.checked.clear()
    fleet.run(20)

    assert {url for _, url in fleet.checked} == {C, D}


def test_backend_that_comes_back_is_unknown_and_checked_once_at_a_time() -> None:
    fleet = Fleet(Pace(jitter=0.0), backends=[A, B])
    fleet.sick.add(A)
    fleet.run(3600, is_out(A))

    fleet.service.remove_backend(A)
    fleet.run(0.1)
    fleet.service.add_backend(A)

    assert verdicts(fleet)[A] is None
    fleet.run(60)
    fleet.checked.clear()
    fleet.run(60)
    assert len(fleet.times_of(A)) == 12


def test_backend_that_is_removed_during_its_check_is_left_alone() -> None:
    fleet = Fleet(Pace(fall=1))
    fleet.sick.add(A)
    fleet.duration = 5.0
    fleet.run(3600, lambda service: bool(fleet.times_of(A)))
    heard: list[events.Event] = []
    fleet.service.subscribe(heard.append)

    fleet.service.remove_backend(A)
    fleet.run(60)

    assert [type(event) for event in heard] == [events.BackendRemoved]
    assert len(fleet.times_of(A)) == 1


def test_what_is_said_of_a_removed_backend_is_not_heard() -> None:
    fleet = Fleet()
    (state, *_) = [s for s in fleet.service.core.findings.states if s.backend.url == A]
    fleet.service.remove_backend(A)
    heard: list[events.Event] = []
    fleet.service.subscribe(heard.append)

    fleet.service.core.findings.failed(state, "status 503")
    fleet.service.core.findings.passed(state, since=math.inf)

    assert state.checked is None
    assert not heard


def test_only_the_subset_is_checked_and_who_leaves_it_is_unknown() -> None:
    backends = [f"http://10.0.1.{number}" for number in range(20)]
    fleet = Fleet(backends=backends, subset=5)
    fleet.sick.update(backends)

    fleet.run(60)
    before = {url for _, url in fleet.checked}
    fleet.service.update_backends([*backends, *URLS_MORE])
    fleet.run(1.5)
    members = {state.backend.url for state in fleet.service.core.findings.members}

    assert len(before) == 5
    assert members != before  # by this seed; most of the new ones are nearer
    known = {url for url, verdict in verdicts(fleet).items() if verdict is not None}
    assert known == before & members


URLS_MORE = [f"http://10.0.2.{number}" for number in range(40)]


def test_drained_and_marked_backends_are_still_checked() -> None:
    fleet = Fleet()
    fleet.sick.update([A, B])
    fleet.service.drain(A)
    fleet.service.mark_healthy(B, True)

    fleet.run(60)

    assert verdicts(fleet) == {A: False, B: False, C: True}
    assert states_of(fleet.service) == {A: "draining", B: "marked_healthy", C: "closed"}
    assert B in {fleet.service.select().backend.url for _ in range(30)}
    assert stats_of(fleet.service, B).healthy


# Together with real traffic


def test_checks_end_an_ejection_early() -> None:
    policy = HealthPolicy(base_ejection_time=1000, max_ejection_time=1000)
    fleet = Fleet(Pace(jitter=0.0), health=policy)
    fleet.run(60)
    eject(fleet.service, A)
    heard: list[events.Event] = []
    fleet.service.subscribe(heard.append)

    fleet.run(100, lambda service: states_of(service)[A] == "closed")

    assert [type(event) for event in heard] == [events.BackendReturned]
    assert A in {fleet.service.select().backend.url for _ in range(30)}
    assert not fleet.service.core.findings.members[0].is_suspect


def test_only_checks_that_began_after_an_ejection_end_it() -> None:
    policy = HealthPolicy(base_ejection_time=1000, max_ejection_time=1000)
    fleet = Fleet(Pace(jitter=0.0, rise=3, down_interval=10), health=policy)
    fleet.run(60)
    eject(fleet.service, A)
    fleet.checked.clear()

    fleet.run(1000, lambda service: states_of(service)[A] == "closed")

    assert len(fleet.times_of(A)) == 3


def test_ejected_backend_is_checked_more_often() -> None:
    policy = HealthPolicy(base_ejection_time=1000, max_ejection_time=1000)
    fleet = Fleet(Pace(jitter=0.0, rise=100, down_interval=1), health=policy)
    eject(fleet.service, A)

    fleet.run(50)

    assert len(fleet.times_of(A)) > 40
    assert len(fleet.times_of(B)) <= 6


def test_checks_that_fail_keep_out_a_backend_whose_ejection_is_over() -> None:
    fleet = Fleet()
    fleet.sick.add(A)
    eject(fleet.service, A)

    fleet.run(60)

    assert states_of(fleet.service)[A] == "failing_checks"
    assert A not in {fleet.service.select().backend.url for _ in range(30)}


def test_good_traffic_does_not_bring_back_whose_checks_fail() -> None:
    fleet = Fleet(Pace(fall=1))
    held = select_only(fleet.service, A)
    fleet.sick.add(A)
    fleet.run(60)

    held.release()

    assert states_of(fleet.service)[A] == "failing_checks"


def test_when_all_checks_fail_requests_still_go_somewhere() -> None:
    fleet = Fleet()
    heard: list[events.Event] = []
    fleet.service.subscribe(heard.append)
    fleet.sick.update([A, B, C])

    fleet.run(60)

    assert set(verdicts(fleet).values()) == {False}
    assert fleet.service.select().backend.url in {A, B, C}
    assert events.PanicEntered("orders") in heard


def test_when_all_checks_fail_and_requests_succeed_all_backends_share_them() -> None:
    fleet = Fleet()
    fleet.sick.update([A, B, C])
    fleet.run(60)

    found = Counter(url_of_a_success(fleet.service) for _ in range(90))

    assert set(found) == {A, B, C}
    assert max(found.values()) < 60


def test_when_all_checks_fail_backends_that_fail_requests_are_left_for_others() -> None:
    fleet = Fleet()
    fleet.sick.update([A, B, C])
    fleet.run(60)
    for url in (A, B):
        select_only(fleet.service, url).release(outcome=REFUSED)

    assert {url_of_a_success(fleet.service) for _ in range(30)} == {C}


def url_of_a_success(service: LoadBalancer) -> str:
    with service.select() as selection:
        return selection.backend.url


def test_changes_are_told_once() -> None:
    fleet = Fleet()
    heard: list[events.Event] = []
    fleet.service.subscribe(heard.append)
    (backend, *_) = fleet.service.backends
    fleet.sick.add(A)
    fleet.run(200)
    fleet.sick.clear()
    fleet.run(200)

    assert heard == [
        events.BackendFailing("orders", backend, "status 503"),
        events.BackendRecovered("orders", backend),
    ]


# The settings


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("interval", 0),
        ("interval", "10s"),
        ("down_interval", 0),
        ("timeout", 0),
        ("timeout", math.inf),
        ("fall", 0),
        ("rise", 1.5),
        ("jitter", 1.1),
        ("jitter", -0.1),
    ],
)
def test_value_out_of_range_is_refused(name: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=rf"^{name}="):
        Pace(**{name: value})
