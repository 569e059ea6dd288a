"""How a backend's share grows, and among whom the others choose."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence

import pytest

from lbtransport import Backend, HealthPolicy
from lbtransport._backends import BackendState
from lbtransport._ramps import Ramps
from lbtransport.strategies import Candidates
from tests.core_kit import A, B, C

NOW = 1000.0


def make(url: str) -> BackendState:
    return BackendState(Backend(url))


@pytest.mark.parametrize(
    ("after", "share"),
    [(0.0, 0.1), (0.5, 0.1), (1.0, 0.1), (2.5, 0.25), (9.9, 0.99), (10.0, 1.0)],
)
def test_share_grows_in_a_line_from_a_tenth(after: float, share: float) -> None:
    ramps, state = Ramps(10.0), make(A)

    ramps.begin(state, NOW)

    assert ramps.share(state, NOW + after) == pytest.approx(share)
    assert ramps.end_at == NOW + 10.0


def test_others_have_all_of_their_share() -> None:
    ramps = Ramps(10.0)
    ramps.begin(make(A), NOW)

    assert ramps.share(make(B), NOW) == 1.0


def test_slow_start_of_0_is_none() -> None:
    ramps, state = Ramps(0.0), make(A)

    ramps.begin(state, NOW)

    assert ramps.share(state, NOW) == 1.0
    assert ramps.end_at < NOW


def settle(
    ramps: Ramps,
    states: Sequence[BackendState],
    choices: Iterable[int],
    *,
    drawn: float = 0.99,
    after: float = 0.0,
) -> tuple[BackendState, list[list[BackendState]]]:
    """Return who was settled on, and what the strategy chose from when asked again."""
    candidates, asked = Candidates(states), list[list[BackendState]]()
    first, *again = choices

    def choose(others: Candidates) -> BackendState:
        asked.append(list(others))  # type: ignore[arg-type]  # our own states
        return others[again.pop(0)]  # type: ignore[return-value]  # likewise

    found = ramps.settle(states[first], candidates, NOW + after, lambda: drawn, choose)
    return found, asked


def ramping(*urls: str) -> tuple[Ramps, list[BackendState]]:
    """Return three backends, of which some ramp up."""
    ramps, states = Ramps(10.0), [make(url) for url in (A, B, C)]
    for state in states:
        if state.backend.url in urls:
            ramps.begin(state, NOW)
    return ramps, states


@pytest.mark.parametrize(("drawn", "accepted"), [(0, 0), (0.49, 0), (0.5, 1)])
def test_choice_is_accepted_with_the_probability_of_the_share(
    drawn: float, accepted: int
) -> None:
    ramps, states = ramping(A)

    found, _ = settle(ramps, states, [0, 1], drawn=drawn, after=5.0)

    assert found is states[accepted]


def test_backend_that_does_not_ramp_up_is_always_accepted() -> None:
    ramps, states = ramping(A)

    assert settle(ramps, states, [1]) == (states[1], [])


def test_trial_is_always_accepted() -> None:
    ramps, states = ramping(A)
    states[0].circuit.open(NOW, HealthPolicy(), random.Random(7))

    assert settle(ramps, states, [0]) == (states[0], [])


def test_strategy_is_asked_again_three_times_and_then_without_them() -> None:
    ramps, states = ramping(A, B)

    found, asked = settle(ramps, states, [0, 1, 0, 1, 0])

    assert asked == [states] * 3 + [states[2:]]
    assert found is states[2]


def test_where_all_ramp_up_the_choice_stands() -> None:
    ramps, states = ramping(A, B, C)

    assert settle(ramps, states, [0]) == (states[0], [])


def test_who_has_its_full_share_is_one_of_the_others() -> None:
    ramps, states = ramping(A)
    ramps.begin(states[1], NOW + 3.0)

    _, asked = settle(ramps, states, [1, 1, 1, 1, 0], after=10.0)

    assert asked[-1] == [states[0], states[2]]


def test_others_are_not_gathered_for_each_request() -> None:
    ramps, states = ramping(A)
    candidates = Candidates(states)

    def others(now: float) -> list[Candidates]:
        asked = list[Candidates]()

        def choose(given: Candidates) -> BackendState:
            asked.append(given)
            return states[0]

        ramps.settle(states[0], candidates, now, lambda: 0.99, choose)
        return asked[3:]

    before, after = others(NOW), others(NOW + 5.0)

    assert before[0] is after[0]
    assert before[0].members is candidates.members
    ramps.begin(states[1], NOW + 5.0)
    assert list(others(NOW + 5.0)[0]) == [states[2]]
