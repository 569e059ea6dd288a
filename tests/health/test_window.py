"""Counts that slide: what is in the window, to the request."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbtransport.health.circuit import Circuit
from lbtransport.health.window import Count, Window


@dataclass(eq=False)
class Backend:
    circuit: Circuit = field(default_factory=Circuit)
    latency: float | None = None
    successes: int = 0


class Watched:
    """One backend and its window, whose every outcome is looked at."""

    def __init__(self, seconds: float = 30.0, start: float = 0.0) -> None:
        self.backend = Backend()
        self.window = Window(seconds)
        self.turn(start)

    def turn(self, now: float) -> None:
        if now >= self.window.turns_at:
            self.window.turn(now, [self.backend])

    def succeed(self, now: float, times: int = 1) -> None:
        self.turn(now)
        self.backend.successes += times

    def fail(self, now: float, times: int = 1) -> None:
        self.turn(now)
        for _ in range(times):
            self.window.add_failure(self.backend, now)

    def count(self, now: float) -> Count:
        self.turn(now)
        return self.window.count(self.backend, now)


def test_successes_and_failures_of_the_window_are_counted() -> None:
    watched = Watched()
    watched.succeed(1.0, 7)
    watched.fail(2.0, 3)

    counted = watched.count(2.0)

    assert counted == (7, 3)
    assert counted.requests == 10


@pytest.mark.parametrize(
    ("now", "expected"),
    [(3.0, (5, 2)), (29.9, (5, 2)), (30.0, (0, 0)), (1000.0, (0, 0))],
)
def test_bucket_counts_until_it_slides_out(
    now: float, expected: tuple[int, int]
) -> None:
    watched = Watched()
    watched.succeed(0.0, 5)
    watched.fail(2.9, 2)

    assert watched.count(now) == expected


def test_buckets_slide_out_one_by_one() -> None:
    watched = Watched()
    for second in range(0, 30, 3):
        watched.succeed(second + 0.5)
        watched.fail(second + 0.5)

    found = [watched.count(now) for now in (29.5, 30.5, 33.5, 57.0)]

    assert found == [(10, 10), (9, 9), (8, 8), (0, 0)]


def test_pause_longer_than_the_window_forgets_what_came_before_alone() -> None:
    watched = Watched()
    watched.succeed(1.0, 50)

    watched.fail(500.0)
    watched.succeed(500.0)

    assert watched.count(500.0) == (1, 1)


def test_successes_before_the_counts_began_anew_are_none() -> None:
    watched = Watched()
    watched.succeed(1.0, 8)
    watched.backend.circuit.counted_from = watched.backend.successes

    watched.succeed(2.0, 2)

    assert watched.count(2.0) == (2, 0)


def test_backend_that_came_later_is_counted_from_its_beginning() -> None:
    window, late = Window(30.0), Backend()
    window.turn(0.0, [])

    late.successes = 4

    assert window.count(late, 1.0) == (4, 0)


def test_copies_of_backends_are_counted_from_when_they_were_made() -> None:
    watched = Watched()
    watched.succeed(1.0, 9)

    watched.backend = Backend(successes=9)
    watched.window.restart(1.5, [watched.backend])
    watched.succeed(2.0)

    assert watched.count(2.0) == (1, 0)


@given(
    st.lists(st.tuples(st.booleans(), st.floats(0, 12, allow_nan=False)), max_size=60)
)
def test_window_holds_what_a_list_of_all_outcomes_would(
    outcomes: list[tuple[bool, float]],
) -> None:
    watched, now = Watched(), 0.0
    made: list[tuple[int, bool]] = []
    for is_success, pause in outcomes:
        now += pause
        (watched.succeed if is_success else watched.fail)(now)
        made.append((int(now // 3), is_success))

    recent = [is_success for bucket, is_success in made if bucket > now // 3 - 10]

    assert watched.count(now) == (recent.count(True), recent.count(False))
