"""What the tests of a program that uses this package need, and a simulator.

- `disabled` and `ManualClock` are for tests of programs,
- `check_strategy` tells who writes a strategy whether it keeps to the contract,
- `simulate` shows what a strategy does with a fleet: a `Scenario` of `Server` values,
  service times and faults goes in, a `Result` comes out.
"""

from __future__ import annotations

from contextlib import AbstractContextManager

from lbtransport._clock import Clock, ManualClock, SystemClock
from lbtransport._services import bypass
from lbtransport.testing._simulation import YARDSTICKS, simulate
from lbtransport.testing.contract import check_strategy
from lbtransport.testing.distributions import (
    Deterministic,
    Exponential,
    Hyperexponential,
    Lognormal,
    Pareto,
)
from lbtransport.testing.faults import Absent, Fail, Hang, Kill, Slow, WarmUp
from lbtransport.testing.result import Result, Window
from lbtransport.testing.scenario import Scenario, Server

__all__ = [
    "YARDSTICKS",
    "Absent",
    "Clock",
    "Deterministic",
    "Exponential",
    "Fail",
    "Hang",
    "Hyperexponential",
    "Kill",
    "Lognormal",
    "ManualClock",
    "Pareto",
    "Result",
    "Scenario",
    "Server",
    "Slow",
    "SystemClock",
    "WarmUp",
    "Window",
    "check_strategy",
    "disabled",
    "simulate",
]


def disabled() -> AbstractContextManager[None]:
    """Send logical URLs through unbalanced, inside a ``with`` block.

    For tests that mock at the level of backends (pytest-httpx, respx, vcrpy): they
    then see ``http://orders/...``, as without us.
    It counts for all threads and tasks; the variable ``LBTRANSPORT_MOCK=passthrough``
    does the same for a whole process.
    """
    return bypass()
