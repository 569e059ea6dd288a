"""What the tests of a program that uses this package need."""

from __future__ import annotations

from contextlib import AbstractContextManager

from lbtransport._clock import Clock, ManualClock, SystemClock
from lbtransport._services import bypass

__all__ = ["Clock", "ManualClock", "SystemClock", "disabled"]


def disabled() -> AbstractContextManager[None]:
    """Send logical URLs through unbalanced, inside a ``with`` block.

    For tests that mock at the level of backends (pytest-httpx, respx, vcrpy): they
    then see ``http://orders/...``, as without us.
    It counts for all threads and tasks; the variable ``LBTRANSPORT_MOCK=passthrough``
    does the same for a whole process.
    """
    return bypass()
