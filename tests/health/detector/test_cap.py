"""How many backends are ejected at most."""

from __future__ import annotations

import pytest

from lbtransport._types.outcome import SUCCESS
from lbtransport.health.detector import Change
from tests.core_kit import REFUSED
from tests.health.detector.kit import Room


@pytest.mark.parametrize(
    ("members", "part", "most"),
    [
        (2, 0.5, 1),
        (3, 0.5, 1),
        (4, 0.5, 2),
        (5, 0.5, 2),
        (10, 0.3, 3),
        (4, 0.0, 0),
        (2, 0.01, 1),
    ],
)
def test_soft_evidence_ejects_a_part_at_most(
    members: int, part: float, most: int
) -> None:
    room = Room(members, max_ejected=part)

    for number in range(members):
        room.fail(number, 6)

    assert room.ejected() == list(range(most))


def test_all_but_the_last_may_be_ejected_if_the_policy_says_so() -> None:
    room = Room(4, max_ejected=1.0)

    for number in range(4):
        room.fail(number, 6)

    assert room.ejected() == [0, 1, 2]


def test_hard_evidence_is_not_capped_but_spares_the_last() -> None:
    room = Room(4)

    for number in range(4):
        room.fail(number, 6, REFUSED)

    assert room.ejected() == [0, 1, 2]


def test_single_backend_is_never_ejected() -> None:
    room = Room(1)

    assert room.fail(0, 100, REFUSED) is Change.NOTHING


def test_failures_that_the_cap_held_back_eject_when_there_is_room() -> None:
    room = Room(2)
    room.fail(0, 5)
    room.fail(1, 5)
    room.wait_for_trial(0)
    room.record(0, SUCCESS, is_trial=True)

    assert room.fail(1, 1) is Change.EJECTED


def test_returned_backend_makes_room_under_the_cap() -> None:
    room = Room(2)
    for number in (0, 1, 0, 1):
        assert room.fail(number, 5) is Change.EJECTED
        room.wait_for_trial(number)
        room.record(number, SUCCESS, is_trial=True)

    assert room.ejected() == []


def test_backend_that_left_makes_room_under_the_cap() -> None:
    room = Room(3)
    room.fail(0, 5)

    room.peers.pop(0)

    assert room.fail(0, 5) is Change.EJECTED
