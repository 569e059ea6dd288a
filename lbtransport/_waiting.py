"""Waiting until a service is in a wished-for state, as a generator of effects."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

from lbtransport._balancer import Balancer
from lbtransport._effects import Effect, Wait
from lbtransport._types import Backend

_LONGEST_NAP = 1.0  # seconds


def wait_drained(
    balancer: Balancer, url: str | Backend, timeout: float | None
) -> Generator[Effect, Any, bool]:
    """Wait until nothing is in flight to a backend; give whether that came in time."""
    # What is dropped and collected is settled when somebody looks: a finaliser may
    # wake nobody.
    return _wait_until(
        balancer,
        lambda: balancer.in_flight(url) == 0,
        timeout,
        look_again_at=lambda: balancer.clock.monotonic() + _LONGEST_NAP,
    )


def wait_ready(
    balancer: Balancer, timeout: float | None
) -> Generator[Effect, Any, bool]:
    """Wait until a usable backend is there; give whether that came in time."""
    # Time alone changes things too: an ejection ends without anybody's doing.
    return _wait_until(
        balancer,
        balancer.outlook.is_ready,
        timeout,
        look_again_at=lambda: min(
            balancer.outlook.changes_at(), balancer.clock.monotonic() + _LONGEST_NAP
        ),
    )


def _wait_until(
    balancer: Balancer,
    is_reached: Callable[[], bool],
    timeout: float | None,
    *,
    look_again_at: Callable[[], float],
) -> Generator[Effect, Any, bool]:
    """Wait until `is_reached` says so: asked at first and after each change."""
    clock = balancer.clock
    ends_at = float("inf") if timeout is None else clock.monotonic() + timeout
    while True:
        # Watch first, look then: a change in between is not missed.
        signal = balancer.announcer.watch()
        try:
            if is_reached():
                return True
            now = clock.monotonic()
            if now >= ends_at:
                return False
            wake_at = min(ends_at, max(now, look_again_at()))
            yield Wait(signal, None if wake_at == float("inf") else wake_at - now)
        finally:
            balancer.announcer.unwatch(signal)
