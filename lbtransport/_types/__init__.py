"""The values that all floors speak of: backends, outcomes, pictures and signals.

Nothing here decides anything, and nothing here changes once it is made, but for
`Signal`, which can be set once.
"""

from __future__ import annotations

from lbtransport._types.attempt import Attempt, Exchange, Stage
from lbtransport._types.backend import Backend
from lbtransport._types.outcome import Fault, Outcome, Repeat, Verdict
from lbtransport._types.signals import Signal
from lbtransport._types.stats import BackendStats, ServiceStats

__all__ = [
    "Attempt",
    "Backend",
    "BackendStats",
    "Exchange",
    "Fault",
    "Outcome",
    "Repeat",
    "ServiceStats",
    "Signal",
    "Stage",
    "Verdict",
]
