"""The registry: a name and its options make a strategy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from lbtransport import ConfigurationError
from lbtransport.strategies import STRATEGIES, Strategy, make_strategy
from lbtransport.strategies.least_connections import LeastConnections
from lbtransport.strategies.power_of_two import PowerOfTwo
from lbtransport.strategies.round_robin import RoundRobin


@pytest.mark.parametrize(
    ("spec", "kind"),
    [
        ("round_robin", RoundRobin),
        ("Round-Robin", RoundRobin),
        (" round_robin ; ", RoundRobin),
        ("p2c", PowerOfTwo),
        ("power-of-two", PowerOfTwo),
        ("least_connections", LeastConnections),
    ],
)
def test_name_makes_a_strategy(spec: str, kind: type) -> None:
    assert type(make_strategy(spec)) is kind


def test_name_makes_a_new_strategy_each_time() -> None:
    assert make_strategy("random") is not make_strategy("random")


def test_instance_is_taken_as_it_is() -> None:
    strategy = RoundRobin()

    assert make_strategy(strategy) is strategy


def test_unknown_name_lists_the_choices() -> None:
    with pytest.raises(ConfigurationError) as refusal:
        make_strategy("round-robbin")

    assert "'round-robbin' is no strategy; choose one of: " in str(refusal.value)
    assert all(name in str(refusal.value) for name in [*STRATEGIES, "p2c"])


@pytest.mark.parametrize("thing", [None, 7, object(), RoundRobin])
def test_what_cannot_choose_is_refused(thing: Any) -> None:
    with pytest.raises(ConfigurationError, match="is no strategy; give a registered"):
        make_strategy(thing)


class Tuned(RoundRobin):
    """A strategy with options of three types."""

    def __init__(self, nodes: int = 7, load: float = 1.5, mode: str = "fast") -> None:
        super().__init__()
        self.options = (nodes, load, mode)


@pytest.fixture
def tuned(monkeypatch: pytest.MonkeyPatch) -> None:
    tuned: Callable[..., Strategy] = Tuned
    monkeypatch.setitem(STRATEGIES, "tuned", tuned)


@pytest.mark.usefixtures("tuned")
@pytest.mark.parametrize(
    ("spec", "options"),
    [
        ("tuned", (7, 1.5, "fast")),
        ("tuned;nodes=3", (3, 1.5, "fast")),
        ("tuned; load = 2 ;mode=slow;", (7, 2.0, "slow")),
    ],
)
def test_options_are_typed_as_their_defaults(
    spec: str, options: tuple[int, float, str]
) -> None:
    strategy = make_strategy(spec)

    assert isinstance(strategy, Tuned)
    assert strategy.options == options


@pytest.mark.usefixtures("tuned")
@pytest.mark.parametrize(
    ("spec", "complaint"),
    [
        ("tuned;knots=3", "has no option 'knots'; its options: nodes, load, mode"),
        ("tuned;nodes=many", "'nodes=many' is not of the form nodes=<int>"),
        ("tuned;nodes", "'nodes' is not of the form nodes=<int>"),
        ("round_robin;nodes=3", "has no option 'nodes'; its options: none"),
    ],
)
def test_bad_option_is_refused(spec: str, complaint: str) -> None:
    with pytest.raises(ConfigurationError) as refusal:
        make_strategy(spec)

    assert complaint in str(refusal.value)
