from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from lbtransport import ConfigurationError
from lbtransport.testing import (
    Absent,
    Exponential,
    Fail,
    Hang,
    Kill,
    Scenario,
    Server,
    Slow,
    WarmUp,
)
from lbtransport.testing.scenarios import SCENARIOS


def test_utilisation_is_a_part_of_what_all_slots_can_do() -> None:
    scenario = Scenario(
        servers=[Server(slots=4), Server(slots=2, slowness=2)],
        utilisation=0.5,
        service=Exponential(0.1),
    )

    assert scenario.arrival_rate == pytest.approx(0.5 * (4 + 1) / 0.1)


def test_server_that_joins_later_adds_nothing_to_the_capacity() -> None:
    scenario = Scenario(
        servers=[Server()] * 2,
        utilisation=0.5,
        faults=[Absent(1, 0.0, 10.0), Absent(0, 20.0)],
    )

    assert scenario.arrival_rate == pytest.approx(0.5 * 4 / 0.05)


def test_rate_stands_as_it_is() -> None:
    assert Scenario(servers=[Server()], rate=7.0).arrival_rate == 7.0


def test_slowness_of_a_warm_up_falls_to_one_in_a_straight_line() -> None:
    warm_up = WarmUp(0, 10.0, 20.0, slowness=5.0)

    assert [warm_up.slowness_at(at) for at in (10.0, 15.0, 20.0)] == [5.0, 3.0, 1.0]


@pytest.mark.parametrize("clients", [1, 10])
@pytest.mark.parametrize("name", SCENARIOS)
def test_scenarios_are_of_ten_servers_and_measure_after_a_warm_up(
    name: str, clients: int
) -> None:
    scenario = SCENARIOS[name](clients)

    assert scenario.clients == clients
    assert len(scenario.servers) == 10
    assert 0 < scenario.warmup < scenario.seconds < math.inf


ONE = [Server()]


@pytest.mark.parametrize(
    ("make", "arguments", "message"),
    [
        (Server, {"slots": 0}, "slots=0"),
        (Server, {"slowness": 0}, "slowness=0"),
        (Server, {"weight": -1}, "weight=-1"),
        (Slow, {"server": -1}, "server=-1"),
        (Slow, {"server": 0, "begins_at": -1.0}, "begins_at=-1.0"),
        (Hang, {"server": 0, "begins_at": 2.0, "ends_at": 2.0}, "ends_at=2.0"),
        (Slow, {"server": 0, "slowness": 0}, "slowness=0"),
        (WarmUp, {"server": 0}, "ends_at=inf"),
        (Fail, {"server": 0, "share": 0}, "share=0"),
        (Fail, {"server": 0, "after": -1}, "after=-1"),
        (Kill, {"server": 0, "after": -1}, "after=-1"),
        (Scenario, {"servers": [], "rate": 1}, "at least one Server"),
        (Scenario, {"servers": ONE}, "rate=None and utilisation=None"),
        (Scenario, {"servers": ONE, "rate": 1, "utilisation": 1}, "give one of them"),
        (Scenario, {"servers": ONE, "rate": 0}, "rate=0"),
        (Scenario, {"servers": ONE, "utilisation": 0}, "utilisation=0"),
        (Scenario, {"servers": ONE, "rate": 1, "warmup": -1}, "warmup=-1"),
        (Scenario, {"servers": ONE, "rate": 1, "seconds": 10}, "seconds=10"),
        (Scenario, {"servers": ONE, "rate": 1, "clients": 0}, "clients=0"),
        (Scenario, {"servers": ONE, "rate": 1, "timeout": 0}, "timeout=0"),
        (Scenario, {"servers": ONE, "rate": 1, "arrivals": "x"}, "poisson, constant"),
        (Scenario, {"servers": ONE, "rate": 1, "faults": [Slow(1)]}, "no server 1"),
        (
            Scenario,
            {"servers": ONE, "utilisation": 1, "faults": [Absent(0)]},
            "no server is there at the beginning",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(
    make: Callable[..., object], arguments: dict[str, object], message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        make(**arguments)
