"""Upkeep: what a balancer has done in the background, as generators of effects.

So far that is checking its backends: when the next check is due, and how many of them
in a row say something.

Not here: what a check does (`checks`, `_probes`), and where the generators run
(`_background`).

References:
    HAProxy, `inter`, `downinter`, `fall`, `rise` and `spread-checks`.
    Envoy's health checking, on jitter, and on ending an ejection early.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Awaitable, Callable, Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from lbtransport._backends import BackendState
from lbtransport._balancer import Balancer
from lbtransport._effects import Call, Effect, Sleep
from lbtransport._types import Backend, Fault
from lbtransport._types.exceptions import fault_of_exception, outcome_of_exception
from lbtransport._types.outcome import NEUTRAL
from lbtransport._validation import check_integer, check_number

if TYPE_CHECKING:
    from random import Random

logger = logging.getLogger("lbtransport.health")

Steps: TypeAlias = Generator[Effect, Any, None]
Start: TypeAlias = Callable[[Steps], object]
"""Has a generator run beside the one that calls it."""
Probe: TypeAlias = Callable[[Backend], Awaitable[None]]
"""Checks a backend once, in no more than its time; raises if it is not well."""

_GLANCE = 1.0  # seconds from one look at the list of backends to the next


class CheckFailed(Exception):  # noqa: N818 - raised by a check that went as it should
    """A backend answered, and not as one that is well; the message says how."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """When backends are checked, and how many checks in a row say something.

    Args:
        interval: Seconds from the beginning of a backend's check to that of its next
            (Finagle and Consul: 10 s).
        down_interval: Seconds instead of that, while the backend is out of rotation,
            by its checks or by real traffic (HAProxy's `downinter`); None is half of
            `interval`.
        timeout: Seconds that one check may take, name resolution included.
        fall: Checks in a row that must fail until a backend is taken out (HAProxy: 3).
        rise: Checks in a row that must pass until it is back (HAProxy: 2).
        jitter: Part of the interval, 0 to 1, by which it is drawn longer or shorter
            each time; the first check is due within this part of it.

    Raises:
        ConfigurationError: If a value is out of its range.
    """

    interval: float = 10.0
    down_interval: float | None = None
    timeout: float = 2.0
    fall: int = 3
    rise: int = 2
    jitter: float = 0.2

    def __post_init__(self) -> None:
        """Refuse values out of range."""
        for name in ("interval", "timeout"):
            check_number(name, getattr(self, name), above=True, unit="seconds")
        if self.down_interval is not None:
            check_number(
                "down_interval", self.down_interval, above=True, unit="seconds"
            )
        for name in ("fall", "rise"):
            check_integer(name, getattr(self, name), least=1)
        check_number("jitter", self.jitter, most=1, unit="a part of the interval")

    def first_wait(self, rng: Random) -> float:
        """Draw the seconds until a backend's first check."""
        return self.interval * self.jitter * rng.random()

    def next_wait(self, rng: Random, *, is_out: bool) -> float:
        """Draw the seconds from the beginning of a check to that of the next."""
        seconds = self.interval
        if is_out:
            half = self.interval / 2
            seconds = half if self.down_interval is None else self.down_interval
        return seconds * (1 + self.jitter * (2 * rng.random() - 1))


def keep_checking(balancer: Balancer, probe: Probe, pace: Pace, start: Start) -> Steps:
    """Have each backend checked by itself, for as long as it is one.

    Args:
        balancer: Whose backends; it hears of the results.
        probe: Checks one of them.
        pace: When.
        start: Has the checks of one backend run beside those of the others.
    """
    members: tuple[BackendState, ...] = ()
    wanted: set[BackendState] = set()
    running: set[BackendState] = set()
    # In the user's own loop nobody else ends it when the balancer is closed.
    while not balancer.findings.is_closed:
        if balancer.findings.members is not members:
            members = balancer.findings.members
            if gone := wanted.difference(members):
                balancer.findings.unchecked(gone)
            wanted.clear()
            wanted.update(members)
            # One that left and came back while it slept goes on.
            for state in wanted - running:
                running.add(state)
                steps = _check_one(
                    balancer, state, probe, pace, wanted=wanted, running=running
                )
                yield Call(start, (steps,))
        yield Sleep(_GLANCE)


def _check_one(
    balancer: Balancer,
    state: BackendState,
    probe: Probe,
    pace: Pace,
    *,
    wanted: set[BackendState],
    running: set[BackendState],
) -> Steps:
    """Check one backend again and again, until it is wanted no more."""
    now, rng = balancer.clock.monotonic, balancer.rng
    passed_at: deque[float] = deque(maxlen=pace.rise)
    failed_in_a_row = 0
    yield Sleep(pace.first_wait(rng))
    while state in wanted and not balancer.findings.is_closed:
        started_at, reason, is_verdict = now(), None, True
        try:
            yield Call(probe, (state.backend,))
        except Exception as error:  # noqa: BLE001 - whatever it is, it did not pass
            reason = _reason(error)
            # Who has no file left for a connection learns nothing of any backend.
            is_verdict = fault_of_exception(error) is not Fault.POOL
            logger.debug("check failed backend=%s reason=%s", state.backend.url, reason)
        if state not in wanted:
            break
        if reason is None:
            failed_in_a_row = 0
            passed_at.append(started_at)
            if len(passed_at) == pace.rise:
                balancer.findings.passed(state, since=passed_at[0])
        elif is_verdict:
            failed_in_a_row += 1
            passed_at.clear()
            if failed_in_a_row >= pace.fall:
                balancer.findings.failed(state, reason)
        is_out = state.checked is False or not state.circuit.is_closed
        wait = pace.next_wait(rng, is_out=is_out)
        yield Sleep(max(0.0, started_at + wait - now()))
    running.discard(state)


def _reason(error: Exception) -> str:
    """Return what an error says; nothing of its own words, which may hold secrets."""
    if isinstance(error, CheckFailed):
        return str(error)
    outcome = outcome_of_exception(error)
    reason = "" if outcome is NEUTRAL else outcome.reason
    return reason or type(error).__name__
