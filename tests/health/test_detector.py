"""What counts as evidence, and what a backend is ejected for."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from lbtransport import HealthPolicy, Outcome
from lbtransport._types import Fault
from lbtransport._types.answers import outcome_of_status
from lbtransport._types.outcome import CANCELLED, FAULTS, SUCCESS
from lbtransport.health import Change, Circuit, Detector, Fleet
from tests.helpers_core import CUT, REFUSED, STATUS_500, TIMEOUT

WRONG_CERTIFICATE = FAULTS[Fault.CERTIFICATE]
SOFT = [CUT, STATUS_500, FAULTS[Fault.TLS], Outcome.failure("too slow")]


@dataclass(eq=False)
class Peer:
    """A backend that is nothing but its circuit."""

    circuit: Circuit = field(default_factory=Circuit)


class Room:
    """A detector, backends for it to judge, and a clock."""

    def __init__(self, members: int = 3, **policy: float) -> None:
        self.detector = Detector(HealthPolicy(**policy), random.Random(7))  # type: ignore[arg-type]  # an int where one is asked for
        self.peers = [Peer() for _ in range(members)]
        self.now = 100.0

    @property
    def circuits(self) -> list[Circuit]:
        return [peer.circuit for peer in self.peers]

    def fleet(self) -> Fleet:
        closed = [peer for peer in self.peers if peer.circuit.is_closed]
        members = len(self.peers)
        return Fleet(
            members,
            in_rotation=len(closed),
            ejected=members - len(closed),
            peers=closed,
        )

    def record(
        self,
        number: int,
        outcome: Outcome,
        *,
        started_at: float | None = None,
        is_trial: bool = False,
        step: float = 0.001,
    ) -> Change:
        """Record what a request came to that took `step` seconds."""
        started = self.now if started_at is None else started_at
        self.now += step
        return self.detector.record(
            self.circuits[number],
            outcome,
            started_at=started,
            is_trial=is_trial,
            now=self.now,
            fleet=self.fleet,
        )

    def fail(self, number: int, times: int, outcome: Outcome = CUT) -> Change:
        return [self.record(number, outcome) for _ in range(times)][-1]

    def wait_for_trial(self, number: int) -> None:
        circuit = self.circuits[number]
        assert circuit.ejected_until is not None
        self.now = circuit.ejected_until

    def ejected(self) -> list[int]:
        return [n for n, circuit in enumerate(self.circuits) if not circuit.is_closed]


# Failures in a row


@pytest.mark.parametrize("outcome", [*SOFT, REFUSED, TIMEOUT, WRONG_CERTIFICATE])
def test_failures_in_a_row_eject(outcome: Outcome) -> None:
    room = Room()

    assert room.fail(0, 4, outcome) is Change.NOTHING
    assert room.ejected() == []
    assert room.fail(0, 1, outcome) is Change.EJECTED
    assert room.ejected() == [0]


@pytest.mark.parametrize("threshold", [1, 2, 7])
def test_threshold_of_failures_is_the_policys(threshold: int) -> None:
    room = Room(consecutive_failures=threshold)

    changes = [room.record(0, CUT) for _ in range(threshold)]

    assert changes == [Change.NOTHING] * (threshold - 1) + [Change.EJECTED]


def test_success_between_failures_begins_the_row_anew() -> None:
    room = Room()
    room.fail(0, 4)

    room.record(0, SUCCESS)

    assert room.fail(0, 4) is Change.NOTHING


@pytest.mark.parametrize("outcome", [Outcome.neutral(), CANCELLED, FAULTS[Fault.LOCAL]])
def test_neutral_outcome_neither_counts_nor_breaks_the_row(outcome: Outcome) -> None:
    room = Room()
    room.fail(0, 4)

    for _ in range(10):
        assert room.record(0, outcome) is Change.NOTHING

    assert room.fail(0, 1) is Change.EJECTED


# One episode


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


# The trial


def test_trial_that_passes_returns_the_backend_with_a_clean_row() -> None:
    room = Room()
    room.fail(0, 5)
    room.wait_for_trial(0)

    assert room.record(0, SUCCESS, is_trial=True) is Change.RETURNED
    assert room.ejected() == []
    assert room.fail(0, 4) is Change.NOTHING
    assert room.fail(0, 1) is Change.EJECTED


def test_trial_that_fails_doubles_the_time() -> None:
    room = Room()
    room.fail(0, 5)
    times = []

    for _ in range(5):
        room.wait_for_trial(0)
        assert room.record(0, CUT, is_trial=True) is Change.EJECTED
        times.append((room.circuits[0].ejected_until or 0) - room.now)

    assert all(
        abs(t / e - 1) <= 0.2 for t, e in zip(times, (2, 4, 8, 15, 15), strict=True)
    )


@pytest.mark.parametrize("outcome", [Outcome.neutral(), CANCELLED])
def test_trial_without_a_verdict_leaves_the_circuit_half_open(outcome: Outcome) -> None:
    room = Room()
    room.fail(0, 5)
    room.wait_for_trial(0)

    assert room.record(0, outcome, is_trial=True) is Change.REOPENED
    assert room.circuits[0].is_half_open(room.now)


# How many at most


@pytest.mark.parametrize(
    ("members", "part", "most"),
    [(2, 0.5, 1), (3, 0.5, 1), (4, 0.5, 2), (5, 0.5, 2), (10, 0.3, 3), (4, 0.0, 1)],
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


# What everybody shows


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


# Response timeouts


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
