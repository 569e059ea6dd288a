"""Certificates that nobody trusts: told once, and nobody's fault but our own."""

from __future__ import annotations

from lbtransport._types.outcome import SUCCESS
from lbtransport.health.detector import Change
from tests.core_kit import STATUS_500
from tests.health.detector.kit import WRONG_CERTIFICATE, Room


def refuse_all(room: Room, rounds: int) -> list[Change]:
    numbers = range(len(room.peers))
    return [room.record(n, WRONG_CERTIFICATE) for _ in range(rounds) for n in numbers]


def test_certificates_that_all_show_are_told_of_once() -> None:
    room = Room(4)

    changes = refuse_all(room, 20)

    assert changes.count(Change.DISTRUSTED) == 1
    assert room.ejected() == []


def test_certificate_of_one_alone_is_its_own_fault() -> None:
    room = Room(4)

    changes = [room.record(0, WRONG_CERTIFICATE) for _ in range(5)]

    assert changes == [Change.NOTHING] * 4 + [Change.EJECTED]


def test_certificates_are_told_of_again_after_one_was_trusted() -> None:
    room = Room(3)
    refuse_all(room, 2)
    room.record(0, SUCCESS)

    assert refuse_all(room, 5).count(Change.DISTRUSTED) == 1


def test_success_of_one_that_was_always_trusted_changes_nothing() -> None:
    room = Room(4)
    for number in (0, 1, 2):
        room.record(number, WRONG_CERTIFICATE)

    room.record(3, SUCCESS)

    assert room.record(0, WRONG_CERTIFICATE) is Change.NOTHING


def test_other_shared_faults_are_not_told_of() -> None:
    room = Room(3)

    changes = [room.record(n % 3, STATUS_500) for n in range(60)]

    assert set(changes) == {Change.NOTHING}
