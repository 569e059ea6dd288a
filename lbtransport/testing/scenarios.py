"""The scenarios that strategies are measured in, each for a number of clients.

Ten servers of four slots, exponential service of 50 ms, a timeout of 2 s, and one
attempt for each request.
A strategy's score is the mean of `Result.score` over all of them but `brown_out`, which
asks of retries and ejection whether the fleet recovers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from lbtransport.testing.faults import Absent, Fail, Fault, Kill, Slow, WarmUp
from lbtransport.testing.scenario import Scenario, Server

__all__ = [
    "SCENARIOS",
    "black_hole",
    "brown_out",
    "cold_join",
    "gray_failure",
    "homogeneous",
    "rolling_restart",
    "two_slow",
]

_FLEET = (Server(),) * 10
_TWO_SLOW = (*[Server(slowness=3)] * 2, *[Server()] * 8)
_WARMUP = 10.0  # seconds until queues and what strategies know have settled


def homogeneous(clients: int = 1, *, utilisation: float = 0.7) -> Scenario:
    """Return ten equal servers without faults."""
    return Scenario(servers=_FLEET, utilisation=utilisation, clients=clients)


def two_slow(clients: int = 1, *, utilisation: float = 0.7) -> Scenario:
    """Return ten servers, of which 0 and 1 are three times slower throughout."""
    return Scenario(servers=_TWO_SLOW, utilisation=utilisation, clients=clients)


def gray_failure(clients: int = 1, *, seconds_after: float = 0.0) -> Scenario:
    """Return ten servers, of which number 0 becomes twenty times slower for 40 s.

    Measured from the beginning of the fault until `seconds_after` its end.
    """
    return _fault_of_40_s(Slow(0, _WARMUP, _WARMUP + 40, 20.0), clients, seconds_after)


def black_hole(clients: int = 1, *, seconds_after: float = 0.0) -> Scenario:
    """Return ten servers, of which number 0 answers 503 after 1 ms, for 40 s.

    Measured from the beginning of the fault until `seconds_after` its end.
    """
    return _fault_of_40_s(Fail(0, _WARMUP, _WARMUP + 40), clients, seconds_after)


def _fault_of_40_s(fault: Fault, clients: int, seconds_after: float) -> Scenario:
    return Scenario(
        servers=_FLEET,
        utilisation=0.6,
        seconds=fault.ends_at + seconds_after,
        warmup=_WARMUP,
        clients=clients,
        faults=[fault],
    )


def rolling_restart(clients: int = 1) -> Scenario:
    """Return ten servers that restart one after the other, one every 6 s.

    Each refuses connections for 3 s, and is then three times slower for 2 s.
    """
    faults: list[Fault] = []
    for server in range(len(_FLEET)):
        killed_at = _WARMUP + 6.0 * server
        faults.append(Kill(server, killed_at, killed_at + 3))
        faults.append(Slow(server, killed_at + 3, killed_at + 5, 3.0))
    return Scenario(
        servers=_FLEET,
        utilisation=0.6,
        seconds=_WARMUP + 60,
        warmup=_WARMUP,
        clients=clients,
        faults=faults,
    )


def cold_join(clients: int = 1) -> Scenario:
    """Return nine servers at 80 %, which a tenth joins that is cold.

    It is five times slower at first and warms up over 10 s; measured are the 15 s from
    its joining on.
    """
    joins_at = _WARMUP
    return Scenario(
        servers=_FLEET,
        utilisation=0.8,
        seconds=joins_at + 15,
        warmup=joins_at,
        clients=clients,
        faults=[
            Absent(9, 0.0, joins_at),
            WarmUp(9, joins_at, joins_at + 10, 5.0),
        ],
    )


def brown_out(clients: int = 1, *, timeout: float = 2.0) -> Scenario:
    """Return eight servers at 70 %, all of which are twice as slow from 10 to 20 s.

    They go on working on what callers gave up after `timeout`, so that what was sent in
    vain has to be worked off; measured from the beginning until 40 s after the end.
    """
    ends_at = _WARMUP + 10
    return Scenario(
        servers=_FLEET[:8],
        utilisation=0.7,
        seconds=ends_at + 40,
        warmup=_WARMUP,
        clients=clients,
        timeout=timeout,
        faults=[Slow(server, _WARMUP, ends_at, 2.0) for server in range(8)],
    )


def _at(make: Callable[..., Scenario], utilisation: float) -> Callable[[int], Scenario]:
    return lambda clients: make(clients, utilisation=utilisation)


SCENARIOS: Mapping[str, Callable[[int], Scenario]] = MappingProxyType(
    {
        "homogeneous .7": _at(homogeneous, 0.7),
        "homogeneous .9": _at(homogeneous, 0.9),
        "2 of 10 slow .35": _at(two_slow, 0.35),
        "2 of 10 slow .7": _at(two_slow, 0.7),
        "gray failure": gray_failure,
        "black hole": black_hole,
        "rolling restart": rolling_restart,
        "cold join": cold_join,
    }
)
"""All of them, by name; each takes the number of clients."""
