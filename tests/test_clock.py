"""The two clocks: the machine's, and the one moved by hand."""

from __future__ import annotations

import pytest

from lbtransport._clock import ManualClock, SystemClock


def test_manual_clock_never_goes_back() -> None:
    clock = ManualClock(5.0)

    clock.advance(1.5)

    assert clock.monotonic() == clock.wall() == 6.5
    with pytest.raises(ValueError, match="a clock never goes back"):
        clock.advance(-1)


def test_clock_of_the_machine_tells_both_times() -> None:
    clock = SystemClock()

    assert clock.monotonic() <= clock.monotonic()
    assert clock.wall() > 1_700_000_000
