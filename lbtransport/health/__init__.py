"""Passive health: what real traffic says of each backend.

`policy` says what the rules are, `circuit` is one backend's state, `detector` judges.
Knows nothing of strategies, and strategies know nothing of it.
"""

from __future__ import annotations

from lbtransport.health.policy import HealthPolicy

__all__ = ["HealthPolicy"]
