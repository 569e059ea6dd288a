"""One run of the hammer, and what it came to."""

from __future__ import annotations

import contextlib
import gc
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from tests.hammer.audit import Holdings
from tests.hammer.crowd import Crowd, Size
from tests.hammer.fleet import fleet

_PATIENCE = 120.0  # seconds for the last visits; the machine may be slow
# Seconds; a fiftieth of the usual, so that threads meet at more places, and so that the
# two loops get their turn beside hundreds of threads.
_SWITCH_INTERVAL = 0.0001


@dataclass(frozen=True)
class Report:
    """What a run came to.

    Attributes:
        visits: How often each kind of client came to what.
        troubles: How often each kind of trouble came.
        errors: Of GETs, which all should have gone well.
        left: What is left and should not be.
        seconds: How long it took.
    """

    visits: Counter[tuple[str, str]]
    troubles: Counter[str]
    errors: list[Exception]
    left: list[str]
    seconds: float

    @property
    def is_well(self) -> bool:
        """Tell whether all is as it should be."""
        return not self.errors and not self.left


def hammer(size: Size, *, seconds: float | None = None, seed: int = 7) -> Report:
    """Run the hammer.

    Args:
        size: How many workers.
        seconds: For how long; None until each has made its visits.
        seed: Of all chance but that of the scheduler.
    """
    before = Holdings.now()
    began = time.monotonic()
    with contextlib.ExitStack() as stack:
        stack.callback(sys.setswitchinterval, sys.getswitchinterval())
        sys.setswitchinterval(_SWITCH_INTERVAL)
        servers = stack.enter_context(fleet(seed))
        crowd = Crowd(servers, size, seed)
        over = threading.Event()
        crowd.start()
        with ThreadPoolExecutor(1) as thread:
            trouble = thread.submit(servers.trouble, over, crowd.quiesce)
            try:
                if seconds is None:
                    crowd.join(_PATIENCE)
                else:
                    over.wait(seconds)
                    crowd.finish(_PATIENCE)
            finally:
                over.set()
        trouble.result()
        gc.collect()  # what was dropped is given back when it is collected
        left = [
            f"{one.in_flight} in flight, {one.waiting} waiting: {one.backend.url}"
            for one in servers.orders.stats().backends
            if one.in_flight or one.waiting
        ]
        left += crowd.leftovers
    visits: Counter[tuple[str, str]] = Counter()
    for worker in crowd.workers:
        for result, count in worker.results.items():
            visits[str(worker), result] += count
    errors = [error for worker in crowd.workers for error in worker.errors]
    troubles = servers.troubles
    del crowd, servers, stack, trouble
    left += Holdings.now().added_since(before)
    return Report(visits, troubles, errors, left, time.monotonic() - began)
