"""Failures among successes: the share that ejects, and what is counted for it."""

from __future__ import annotations

import pytest

from lbtransport import Outcome
from lbtransport._types.outcome import CANCELLED, SUCCESS
from lbtransport.health.detector import Change
from tests.core_kit import CUT, STATUS_500, TIMEOUT
from tests.health.detector.kit import Room


def mixed(room: Room, successes: int, failures: int, number: int = 0) -> Change:
    """Record as many of each, failures never in a row for long, and last."""
    change = Change.NOTHING
    for _ in range(successes - failures):
        room.record(number, SUCCESS)
    for _ in range(failures):
        assert change is Change.NOTHING
        room.record(number, SUCCESS)
        change = room.record(number, CUT)
    return change


@pytest.mark.parametrize(
    ("successes", "failures", "change"),
    [
        (9, 9, Change.NOTHING),  # of 18
        (10, 10, Change.EJECTED),  # of 20: as many as it takes, and half of them
        (11, 10, Change.NOTHING),  # fewer than half
        (500, 499, Change.NOTHING),
    ],
)
def test_half_of_twenty_requests_eject(
    successes: int, failures: int, change: Change
) -> None:
    room = Room()

    assert mixed(room, successes, failures) is change


@pytest.mark.parametrize("ratio", [0.07, 0.25, 0.4])
def test_ratio_is_the_policys(ratio: float) -> None:
    room = Room(failure_ratio=ratio, failure_min_requests=20)
    failures = round(ratio * 100)

    assert mixed(room, 100 - failures, failures - 1) is Change.NOTHING
    assert room.record(0, CUT) is Change.EJECTED


def test_number_of_requests_is_the_policys() -> None:
    room = Room(failure_min_requests=4)

    assert [mixed(room, 1, 1) for _ in range(2)] == [Change.NOTHING, Change.EJECTED]


def test_ratio_of_0_switches_it_off() -> None:
    room = Room(failure_ratio=0)

    assert mixed(room, 300, 300) is Change.NOTHING


def test_row_of_0_switches_rows_off() -> None:
    room = Room(consecutive_failures=0, failure_min_requests=50)

    assert room.fail(0, 49) is Change.NOTHING
    assert room.fail(0, 1) is Change.EJECTED


def test_both_off_is_never_ejected() -> None:
    room = Room(consecutive_failures=0, failure_ratio=0)

    assert room.fail(0, 1000) is Change.NOTHING


def test_reason_says_how_many_failed() -> None:
    room = Room()

    mixed(room, 10, 10)

    assert room.circuits[0].reason == "10 of 20 failed, the last: disconnected"


def test_window_slides() -> None:
    room = Room()
    mixed(room, 9, 9)

    room.now += 30.0

    assert mixed(room, 9, 9) is Change.NOTHING


def test_window_is_the_policys() -> None:
    room = Room(failure_window=60.0)
    mixed(room, 9, 9)

    room.now += 30.0

    assert mixed(room, 1, 1) is Change.EJECTED


def test_returned_backend_is_not_ejected_for_what_it_did_before() -> None:
    room = Room()
    mixed(room, 10, 10)
    room.wait_for_trial(0)
    room.record(0, SUCCESS, is_trial=True)

    assert mixed(room, 9, 9) is Change.NOTHING
    assert mixed(room, 1, 1) is Change.EJECTED


def test_successes_before_an_ejection_do_not_protect_after_the_return() -> None:
    room = Room()
    mixed(room, 1000, 0)
    room.fail(0, 5)
    room.wait_for_trial(0)
    room.record(0, SUCCESS, is_trial=True)

    assert mixed(room, 10, 10) is Change.EJECTED


@pytest.mark.parametrize("outcome", [CANCELLED, Outcome.neutral()])
def test_what_says_nothing_is_no_request(outcome: Outcome) -> None:
    room = Room()
    for _ in range(100):
        room.record(0, outcome)

    assert mixed(room, 10, 10) is Change.EJECTED


def test_poison_requests_among_others_are_no_failures() -> None:
    room = Room(2)

    for _ in range(100):
        for number in range(2):
            room.record(number, SUCCESS)
        for number in (0, 1, 0, 1):
            room.record(number, STATUS_500)

    assert room.ejected() == []


def test_timeouts_of_all_are_no_failures() -> None:
    room = Room(6, consecutive_failures=0)

    for _ in range(100):
        for number in range(6):
            room.record(number, TIMEOUT)

    assert room.ejected() == []


def test_ratio_ejects_no_more_than_the_cap_and_never_the_last() -> None:
    room = Room(4)

    for number in range(4):
        mixed(room, 10, 10, number)

    assert room.ejected() == [0, 1]
    assert mixed(Room(1), 100, 100) is Change.NOTHING
