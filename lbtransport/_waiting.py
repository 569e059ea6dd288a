"""Waiting until a service is in a wished-for state, as a generator of effects."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

from lbtransport._balancer import Balancer
from lbtransport._effects import Effect, Wait


def wait_until(
    balancer: Balancer, is_reached: Callable[[], bool], timeout: float | None
) -> Generator[Effect, Any, bool]:
    """Wait until `is_reached` says so.

    Args:
        balancer: The service that is watched.
        is_reached: Asked at first and after each change of the service.
        timeout: Seconds to wait at most; None for ever.

    Yields:
        Effects for `_drive`.

    Returns:
        Whether the state was reached in time.
    """
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
            # Time alone changes things too: an ejection ends without anybody's doing.
            wake_at = min(ends_at, max(now, balancer.changes_at()))
            yield Wait(signal, None if wake_at == float("inf") else wake_at - now)
        finally:
            balancer.announcer.unwatch(signal)
