from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from lbtransport import ConfigurationError
from lbtransport._simulate.grammar import (
    read_faults,
    read_list,
    read_servers,
    read_service,
)
from lbtransport.testing import (
    Absent,
    Deterministic,
    Exponential,
    Fail,
    Hang,
    Hyperexponential,
    Kill,
    Lognormal,
    Pareto,
    Server,
    Slow,
    WarmUp,
)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (3, (Server(),) * 3),
        ("2", (Server(),) * 2),
        ("1:slots=8", (Server(slots=8),)),
        (
            " 2 : slowness=3 : weight=0.5 ",
            (Server(slowness=3, weight=0.5), Server(slowness=3, weight=0.5)),
        ),
    ],
)
def test_servers_are_a_number_and_options(
    written: object, meant: tuple[Server, ...]
) -> None:
    assert read_servers(written) == meant


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("50ms", Exponential(0.05)),
        (0.05, Exponential(0.05)),
        ("exponential:2s", Exponential(2.0)),
        ("deterministic:50ms", Deterministic(0.05)),
        ("lognormal:50ms", Lognormal(0.05)),
        ("lognormal:50ms:variation=0.8", Lognormal(0.05, 0.8)),
        ("hyperexponential:50ms:variation=3", Hyperexponential(0.05, 3.0)),
        ("pareto:50ms:shape=1.5", Pareto(0.05, 1.5)),
    ],
)
def test_service_is_a_mean_or_a_distribution(written: object, meant: object) -> None:
    assert read_service(written) == meant


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("slow:0:20x:10s-50s", [Slow(0, 10.0, 50.0, 20.0)]),
        ("slow:0:1.5x:-500ms", [Slow(0, 0.0, 0.5, 1.5)]),
        ("warm:9:5x:10-20", [WarmUp(9, 10.0, 20.0, 5.0)]),
        ("fail:0:10s-50s", [Fail(0, 10.0, 50.0)]),
        ("fail:0:30%:10s-50s", [Fail(0, 10.0, 50.0, 0.3)]),
        ("kill:0-2:10s-13s", [Kill(server, 10.0, 13.0) for server in range(3)]),
        ("hang:0,3-4:10s-", [Hang(server, 10.0) for server in (0, 3, 4)]),
        ("absent:9:0s-10s", [Absent(9, 0.0, 10.0)]),
    ],
)
def test_fault_says_what_whom_how_much_and_when(
    written: str, meant: list[object]
) -> None:
    assert list(read_faults(written)) == meant


def test_fault_without_an_end_never_ends() -> None:
    (fault,) = read_faults("kill:0:10s-")

    assert fault.ends_at == math.inf


def test_list_may_be_a_single_item() -> None:
    read = read_list(read_servers)

    assert read("1") == ((Server(),),)
    assert read(["1", 1]) == ((Server(),), (Server(),))


@pytest.mark.parametrize(
    ("read", "written", "message"),
    [
        (read_servers, "many", "'many' is no integer"),
        (read_servers, "0", "give at least one server"),
        (read_servers, True, "True is no text"),
        (read_servers, "2:cores=8", "'cores=8' is no option here; the options are: sl"),
        (read_servers, "2:slots=0", "slots=0"),
        (read_service, "fast", "'fast' is no duration"),
        (read_service, [1], r"\[1\] is no text"),
        (read_service, "lognorml:1s", r"did you mean lognormal\?"),
        (read_service, "deterministic:1s:variation=2", "the options are: none"),
        (read_service, "pareto:1s:shape=1", "shape=1"),
        (read_faults, "slwo:0:20x:10s-50s", r"did you mean slow\?"),
        (read_faults, "slow", "says not whom or not when"),
        (read_faults, "slow:0", "says not whom or not when"),
        (read_faults, "slow:0:10s-50s", "needs to know how slow"),
        (read_faults, "warm:0:5:10s-50s", "needs to know how slow"),
        (read_faults, "slow:0:fastx:10s-50s", "'fast' is no number"),
        (read_faults, "fail:0:3:10s-50s", "'3' says nothing of fail"),
        (read_faults, "hang:0:30%:10s-50s", "'30%' says nothing of hang"),
        (read_faults, "kill:zero:10s-50s", "'zero' is no integer"),
        (read_faults, "kill:0:10s", "'10s' is no period"),
        (read_faults, "kill:0:50s-10s", "after begins_at=50"),
        (read_faults, "kill:2-0:10s-50s", "'2-0' is no range"),
    ],
)
def test_mistake_is_named(
    read: Callable[[object], object], written: object, message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        read(written)
