"""How much of a difference between latencies is luck, as `adaptive` sees it.

While there is little in flight, what differs from the pool's mean by less than some
standard errors is luck, and is taken for the mean.
Otherwise whoever was lucky would get bursts of all that comes.

With more in flight luck is believed, for then it pays to keep to the same few: of
clients that share servers, each knows the queues of those best.
The same holds for a client that sends a backend next to nothing, as do hundreds of them
together.
"""

from __future__ import annotations

import math

from lbtransport.strategies._record import PRIOR

_ERRORS = 2.5  # standard errors that a difference must have to be believed
# In flight per candidate, as who comes first after a pause finds it: all doubt holds up
# to the one, none from the other on.
_LOW_LOAD, _SOME_LOAD = 0.175, 0.19
_PAUSE = 0.1  # seconds between two loads that are averaged
_MEMORY = 30.0  # seconds; of loads
_LOADS_OF_0 = 5  # that come before the first, so that few do not look like much
_MEMORY_OF_LATENCIES = 10.0  # seconds
_FEW = 12.0  # successes per candidate, within that
_FIRST = 4  # requests per candidate that are spread in any case


class Doubt:
    """What a client has in flight, and how far it trusts in differences for that."""

    def __init__(self) -> None:
        """Have seen nothing yet."""
        self._load = 0.0  # in flight per candidate, averaged
        self._loads = 0  # that were averaged
        self._load_at = -math.inf  # when the last of them was taken
        self._looks = 0
        self._began_at = math.inf

    def look(self, load: float, known: float, size: int, now: float) -> float:
        """Return what difference from the mean is luck, as a part of the mean.

        Args:
            load: Requests in flight per candidate.
            known: Successes per candidate, of the last seconds.
            size: Number of candidates.
            now: The instant of all that.
        """
        self._looks += 1
        self._began_at = min(self._began_at, now)
        if now - self._load_at >= _PAUSE:
            self._average(load, now)
        # Who began a moment ago knows little yet, and that is no sparseness.
        heard = -math.expm1((self._began_at - now) / _MEMORY_OF_LATENCIES)
        is_sparse = known < _FEW * heard and self._looks >= _FIRST * size
        part = (_SOME_LOAD - self._load) / (_SOME_LOAD - _LOW_LOAD)
        if part <= 0 or is_sparse:
            return 0.0
        # The standard error of a mean of exponential samples, in parts of it.
        return min(1.0, part) * _ERRORS / math.sqrt(PRIOR + known)

    def _average(self, load: float, now: float) -> None:
        self._loads += 1
        gain = max((now - self._load_at) / _MEMORY, 1 / (self._loads + _LOADS_OF_0))
        self._load += min(1.0, gain) * (load - self._load)
        self._load_at = now
