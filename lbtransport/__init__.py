"""A load balancer that lives inside the HTTP client.

A program calls ``http://orders/...``; a transport of ours for requests, httpx or httpx2
selects a backend, sends the request straight to it, learns from how it went, and
repeats elsewhere what failed and may be repeated.

This package is the core, which imports no client:

- `LoadBalancer`, `Backend`, `RetryPolicy`, `HealthPolicy`, `options` say what to do,
- `HttpCheck`, `TcpCheck` and `CustomCheck` have backends checked, at a `Pace`,
- `Selection`, `Outcome`, `ServiceStats` and `BackendStats` come back; an outcome is
  made of a `Verdict`, a `Fault` and a `Repeat`,
- an `Exchange` tells of a request's every `Attempt`, and at which `Stage` it ended.

The transports are in `lbtransport.requests`, `lbtransport.httpx` and
`lbtransport.httpx2`, the events in `lbtransport.events`.
"""

from __future__ import annotations

from lbtransport._errors import (
    ConfigurationError,
    LoadBalancingError,
    NoBackendsAvailable,
)
from lbtransport._options import options
from lbtransport._selection import Selection
from lbtransport._types import (
    Attempt,
    Backend,
    BackendStats,
    Exchange,
    Fault,
    Outcome,
    Repeat,
    ServiceStats,
    Stage,
    Verdict,
)
from lbtransport.checks import CustomCheck, HttpCheck, Pace, TcpCheck
from lbtransport.health import HealthPolicy
from lbtransport.load_balancer import LoadBalancer
from lbtransport.retry import RetryPolicy

__all__ = [
    "Attempt",
    "Backend",
    "BackendStats",
    "ConfigurationError",
    "CustomCheck",
    "Exchange",
    "Fault",
    "HealthPolicy",
    "HttpCheck",
    "LoadBalancer",
    "LoadBalancingError",
    "NoBackendsAvailable",
    "Outcome",
    "Pace",
    "Repeat",
    "RetryPolicy",
    "Selection",
    "ServiceStats",
    "Stage",
    "TcpCheck",
    "Verdict",
    "options",
]
