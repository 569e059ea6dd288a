"""How long an ejection lasts, how it ends, and what is forgiven."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbtransport import HealthPolicy
from lbtransport.health.circuit import Circuit, Fading, ejection_time

POLICY = HealthPolicy()


class Loaded(random.Random):
    """A generator whose draws all come out the same."""

    def __init__(self, drawn: float) -> None:
        super().__init__()
        self.drawn = drawn

    def random(self) -> float:
        return self.drawn


MIDDLE = Loaded(0.5)  # no jitter


def eject(circuit: Circuit, now: float, rng: random.Random = MIDDLE) -> float:
    return circuit.open(now, POLICY, rng)


# Ejection time


@pytest.mark.parametrize(
    ("times", "seconds"),
    [(1, 1.0), (2, 2.0), (3, 4.0), (4, 8.0), (5, 15.0), (99, 15.0)],
)
def test_ejection_time_doubles_up_to_its_maximum(times: int, seconds: float) -> None:
    assert ejection_time(times, policy=POLICY, rng=MIDDLE) == seconds


@given(
    times=st.integers(1, 10**6),
    base=st.floats(0.001, 100),
    factor=st.floats(1, 100),
    seed=st.integers(),
)
def test_ejection_time_never_exceeds_its_maximum(
    times: int, base: float, factor: float, seed: int
) -> None:
    policy = HealthPolicy(base_ejection_time=base, max_ejection_time=base * factor)

    seconds = ejection_time(times, policy=policy, rng=random.Random(seed))

    assert 0.8 * base <= seconds <= policy.max_ejection_time


@pytest.mark.parametrize(
    ("drawn", "seconds"), [(0.0, 0.8), (math.nextafter(1, 0), 1.2)]
)
def test_jitter_spreads_by_a_fifth_to_either_side(drawn: float, seconds: float) -> None:
    found = ejection_time(1, policy=POLICY, rng=Loaded(drawn))

    assert found == pytest.approx(seconds)


# The circuit


def test_circuit_starts_closed() -> None:
    circuit = Circuit()

    assert circuit.is_closed
    assert not circuit.is_half_open(1e9)


def test_circuit_is_half_open_once_its_time_is_over() -> None:
    circuit = Circuit()

    seconds = eject(circuit, 100.0)

    assert not circuit.is_closed
    assert not circuit.is_half_open(math.nextafter(100.0 + seconds, 0))
    assert circuit.is_half_open(100.0 + seconds)


def test_closing_resets_all_counters_but_the_ejections() -> None:
    circuit = Circuit()
    circuit.failures_in_a_row = 4
    eject(circuit, 100.0)
    circuit.trial = 1

    circuit.close(101.0)

    assert circuit.is_closed
    assert (circuit.failures_in_a_row, circuit.trial) == (0, 0)
    assert circuit.times_ejected == 1


@pytest.mark.parametrize(
    ("clean", "times"),
    [(0, 4), (9.9, 4), (10, 3), (19.9, 3), (20, 2), (30, 1), (1e6, 1)],
)
def test_clean_time_forgives_one_ejection_each_ten_seconds(
    clean: float, times: int
) -> None:
    circuit = Circuit()
    for now in (100.0, 101.0, 103.0):
        eject(circuit, now)
    circuit.close(110.0)

    eject(circuit, 110.0 + clean)

    assert circuit.times_ejected == times


def test_time_out_of_rotation_forgives_nothing() -> None:
    circuit = Circuit()
    eject(circuit, 100.0)

    eject(circuit, 1000.0)

    assert circuit.times_ejected == 2


# Fading counts


def test_fading_count_halves_in_time() -> None:
    count = Fading()
    for _ in range(8):
        count.add(100.0)

    assert count.at(100.0) == 8
    assert count.at(100.0 + 2 * math.log(2)) == pytest.approx(4)
    assert count.at(130.0) < 0.001


def test_fading_count_forgets_between_additions() -> None:
    count = Fading()
    count.add(100.0)

    count.add(100.0 + 2 * math.log(2))

    assert count.at(100.0 + 2 * math.log(2)) == pytest.approx(1.5)
