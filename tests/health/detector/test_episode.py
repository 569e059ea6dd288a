"""One episode ejects once; what comes late changes nothing."""

from __future__ import annotations

from lbtransport._types.outcome import SUCCESS
from lbtransport.health.detector import Change
from tests.core_kit import CUT
from tests.health.detector.kit import Room


def test_late_failures_of_one_episode_eject_once() -> None:
    room = Room()
    changes = [room.record(0, CUT, started_at=100.0) for _ in range(10)]

    assert changes.count(Change.EJECTED) == 1
    assert room.circuits[0].times_ejected == 1


def test_late_failures_do_not_count_after_the_return_either() -> None:
    room = Room()
    room.fail(0, 5)
    room.wait_for_trial(0)
    room.record(0, SUCCESS, is_trial=True)

    changes = [room.record(0, CUT, started_at=100.0) for _ in range(10)]

    assert set(changes) == {Change.NOTHING}


def test_success_of_a_request_sent_before_the_ejection_proves_nothing() -> None:
    room = Room()
    room.fail(0, 5)

    assert room.record(0, SUCCESS, started_at=100.0) is Change.NOTHING
    assert room.ejected() == [0]


def test_success_of_a_request_sent_after_the_ejection_is_proof_enough() -> None:
    room = Room()
    room.fail(0, 5)
    room.now += 0.1

    assert room.record(0, SUCCESS) is Change.RETURNED
    assert room.ejected() == []


def test_failure_of_a_request_sent_after_the_ejection_changes_nothing() -> None:
    room = Room()
    room.fail(0, 5)
    room.now += 0.1

    assert room.fail(0, 10) is Change.NOTHING
    assert room.circuits[0].times_ejected == 1
