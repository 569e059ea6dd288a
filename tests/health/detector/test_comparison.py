"""Backends that are ejected for what their peers do better."""

from __future__ import annotations

from lbtransport._types.outcome import SUCCESS
from tests.core_kit import CUT
from tests.health.detector.kit import Room

RULES = {
    "consecutive_failures": 0,
    "failure_ratio": 0,
    "success_rate_deviations": 1.5,
    "latency_factor": 3,
}


def work(room: Room, *bad: int, slow: int | None = None) -> None:
    """Have each backend in rotation answer a hundred requests, a tenth of them well."""
    for number, peer in enumerate(room.peers):
        peer.latency = 1.0 if number == slow else 0.1
        for turn in range(100):
            if peer.circuit.is_closed:
                is_bad = number in bad and turn % 10
                room.record(number, CUT if is_bad else SUCCESS, step=0.0)


def look(room: Room, after: float = 3.0) -> list[int]:
    """Let time pass, and return whom the detector ejects for it."""
    room.now += after
    ejected = room.detector.pass_time(room.now, room.fleet)
    return [room.peers.index(peer) for peer in ejected]  # type: ignore[arg-type]  # ours


def test_backend_that_fails_more_than_its_peers_is_ejected() -> None:
    room = Room(6, **RULES)
    work(room, 2)

    assert look(room) == [2]
    assert room.circuits[2].reason == "10.0% succeed, of its peers at least 34.7%"


def test_backend_that_is_slower_than_its_peers_is_ejected() -> None:
    room = Room(6, **RULES)
    work(room, slow=4)

    assert look(room) == [4]
    assert room.circuits[4].reason == "it takes 1 s, its peers at most 0.3 s"


def test_all_rules_see_one_snapshot() -> None:
    room = Room(8, **RULES)
    work(room, 2, slow=4)

    assert look(room) == [2, 4]


def test_comparison_waits_for_the_end_of_its_bucket() -> None:
    room = Room(6, **RULES)
    room.record(0, SUCCESS)  # begins one
    work(room, 2)

    assert look(room, 0.5) == []
    assert look(room, 3.0) == [2]
    assert look(room, 3.0) == []


def test_comparison_ejects_no_more_than_the_cap() -> None:
    room = Room(10, **RULES | {"max_ejected": 0.1, "success_rate_deviations": 1})
    work(room, 2, 3)

    assert look(room) == [2]


def test_comparison_ejects_nobody_if_none_may_be() -> None:
    room = Room(6, **RULES | {"max_ejected": 0})
    work(room, 2)

    assert look(room) == []


def test_returned_backend_is_compared_by_what_it_did_since() -> None:
    room = Room(6, **RULES)
    work(room, 2)
    look(room)
    room.wait_for_trial(2)
    room.record(2, SUCCESS, is_trial=True)

    assert look(room) == []
    work(room, 2)
    assert look(room) == [2]


def test_ejected_backends_are_no_peers() -> None:
    room = Room(6, **RULES | {"consecutive_failures": 5})
    room.fail(0, 5)
    work(room)

    assert look(room) == []


def test_nobody_is_compared_unless_somebody_asked_for_it() -> None:
    room = Room(6, consecutive_failures=0, failure_ratio=0)
    work(room, 2, slow=4)

    assert look(room) == []
