"""A fault that everybody shows ejects nobody."""

from __future__ import annotations

import pytest

from lbtransport import Outcome
from lbtransport._types.answers import outcome_of_status
from lbtransport._types.outcome import SUCCESS
from lbtransport.health.detector import Change
from tests.core_kit import STATUS_500
from tests.health.detector.kit import WRONG_CERTIFICATE, Room


def test_poison_request_ejects_nobody() -> None:
    room = Room(3)

    for _ in range(20):
        for number in range(3):
            room.record(number, STATUS_500)

    assert room.ejected() == []


def test_missing_authority_ejects_nobody() -> None:
    room = Room(4)

    for _ in range(20):
        for number in range(4):
            room.record(number, WRONG_CERTIFICATE)

    assert room.ejected() == []


def test_poison_request_between_healthy_ones_ejects_nobody() -> None:
    room = Room(3)

    for round_number in range(60):
        for number in range(3):
            room.record(number, STATUS_500 if round_number % 2 else SUCCESS)

    assert room.ejected() == []


@pytest.mark.parametrize("outcome", [STATUS_500, WRONG_CERTIFICATE])
def test_one_of_three_that_shows_it_alone_is_ejected(outcome: Outcome) -> None:
    room = Room(3)

    for _ in range(5):
        room.record(0, outcome)
        room.record(1, SUCCESS)
        room.record(2, SUCCESS)

    assert room.ejected() == [0]


@pytest.mark.parametrize(
    ("members", "showing", "counts"),
    [
        (2, 0, True),
        (2, 1, False),
        (3, 0, True),
        (3, 1, False),
        (5, 1, True),
        (5, 2, False),
    ],
)
def test_shared_fault_counts_while_fewer_than_half_of_the_others_show_it(
    members: int, showing: int, counts: bool
) -> None:
    room = Room(members)
    for number in range(1, showing + 1):
        room.record(number, STATUS_500)

    room.fail(0, 5, STATUS_500)

    assert room.ejected() == ([0] if counts else [])


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_every_server_error_may_be_shared(status: int) -> None:
    room = Room(2)
    room.record(1, outcome_of_status(status))

    assert room.fail(0, 10, outcome_of_status(status)) is Change.NOTHING


def test_success_ends_showing_a_shared_fault() -> None:
    room = Room(2)
    room.record(1, STATUS_500)
    room.record(1, SUCCESS)

    assert room.fail(0, 5, STATUS_500) is Change.EJECTED


def test_ejected_backend_no_longer_shows_a_shared_fault() -> None:
    room = Room(4)
    room.fail(0, 5, STATUS_500)

    assert room.fail(1, 5, STATUS_500) is Change.EJECTED


def test_backend_that_left_no_longer_shows_a_shared_fault() -> None:
    room = Room(3)
    room.record(2, STATUS_500)

    room.peers.pop(2)

    assert room.fail(0, 5, STATUS_500) is Change.EJECTED


def test_shared_fault_of_many_is_found_by_a_sample() -> None:
    room = Room(200)
    for number in range(150):
        room.record(number, STATUS_500)

    room.fail(0, 10, STATUS_500)
    room.fail(199, 10, STATUS_500)

    assert room.ejected() == []


def test_lonely_fault_among_many_is_found_by_a_sample() -> None:
    room = Room(200)

    assert room.fail(0, 5, STATUS_500) is Change.EJECTED
