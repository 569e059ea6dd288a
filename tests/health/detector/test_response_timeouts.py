"""Response timeouts: a hanging backend, or a brownout of the fleet."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from lbtransport._types.outcome import SUCCESS
from lbtransport.health.detector import Change
from tests.core_kit import REFUSED, TIMEOUT
from tests.health.detector.kit import Room


def traffic(room: Room, hanging: Sequence[int], rounds: int) -> None:
    """Have every backend answer once a round, those that hang with a timeout."""
    for _ in range(rounds):
        for number, circuit in enumerate(room.circuits):
            if circuit.is_closed:
                room.record(number, TIMEOUT if number in hanging else SUCCESS)


def test_hanging_backend_of_three_is_ejected() -> None:
    room = Room(3)

    traffic(room, [0], 5)

    assert room.ejected() == [0]


def test_hanging_backend_of_two_is_ejected() -> None:
    room = Room(2)

    traffic(room, [0], 5)

    assert room.ejected() == [0]


def test_brownout_of_the_fleet_ejects_nobody() -> None:
    room = Room(6, consecutive_failures=20)

    traffic(room, range(6), 50)

    assert room.ejected() == []


def test_backends_that_begin_to_time_out_together_are_ejected_one_at_a_time() -> None:
    room = Room(9)

    traffic(room, [0, 1], 40)

    assert room.ejected() == [0]
    room.now += 2.0
    traffic(room, [1], 1)
    assert room.ejected() == [0, 1]


def test_others_that_fail_are_ejected_beside_one_that_timed_out() -> None:
    room = Room(9)
    traffic(room, [0], 5)

    room.fail(1, 5)

    assert room.ejected() == [0, 1]


def test_trial_that_times_out_in_a_brownout_proves_nothing() -> None:
    room = Room(6)
    room.fail(0, 5, REFUSED)
    room.wait_for_trial(0)
    traffic(room, range(1, 6), 3)

    change = room.record(0, TIMEOUT, is_trial=True)

    assert change is Change.REOPENED
    assert room.circuits[0].times_ejected == 1


def test_trial_that_times_out_alone_ejects_again() -> None:
    room = Room(6)
    room.fail(0, 5, TIMEOUT)
    room.wait_for_trial(0)

    change = room.record(0, TIMEOUT, is_trial=True)

    assert change is Change.EJECTED
    assert room.circuits[0].times_ejected == 2


def test_other_failures_count_in_a_brownout() -> None:
    room = Room(6)
    traffic(room, range(6), 3)

    room.fail(0, 5, REFUSED)

    assert room.ejected() == [0]


def widespread(timeouts: int, successes: int, *, own: int = 0) -> bool:
    """Ask after `timeouts` of backend 1 and `own` of the one that asks, all at once."""
    room = Room(3)
    for number, outcome, times in (
        (0, TIMEOUT, own),
        (1, TIMEOUT, timeouts),
        (2, SUCCESS, successes),
    ):
        for _ in range(times):
            room.record(number, outcome, step=0.0)
    return room.detector.timeouts_are_widespread(room.circuits[0], room.now, members=3)


@pytest.mark.parametrize(
    ("timeouts", "successes", "expected"),
    [
        (0, 0, False),
        (2, 0, False),  # one or two alone are no brown-out
        (3, 0, True),
        (3, 9, True),  # a quarter exactly
        (3, 10, False),
        (25, 75, True),
        (25, 76, False),
    ],
)
def test_timeouts_are_widespread_from_a_quarter_on(
    timeouts: int, successes: int, expected: bool
) -> None:
    assert widespread(timeouts, successes) is expected


def test_own_timeouts_do_not_make_a_brownout() -> None:
    assert not widespread(0, 0, own=50)


def test_own_timeouts_of_the_only_backend_do() -> None:
    room = Room(1)
    for _ in range(3):
        room.record(0, TIMEOUT)

    assert room.detector.timeouts_are_widespread(room.circuits[0], room.now, members=1)


def test_brownout_is_over_when_its_timeouts_have_faded() -> None:
    room = Room(3)
    for _ in range(20):
        room.record(1, TIMEOUT)

    assert not room.detector.timeouts_are_widespread(
        room.circuits[0], room.now + 10.0, members=3
    )
