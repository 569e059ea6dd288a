"""When a backend is taken out of rotation, for how long, and how it comes back.

docs/explanation/health.md tells the rules in one piece.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any

from lbtransport._errors import ConfigurationError
from lbtransport._types.answers import FAILURE_STATUSES
from lbtransport._validation import check_integer, check_number


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthPolicy:
    """The rules of passive health (outlier detection).

    Each of them is switched off by 0.

    Args:
        consecutive_failures: Failures in a row that eject a backend (Envoy and
            Finagle: 5).
        consecutive_local_failures: If it is given, failures without an answer (connect,
            TLS, timeouts, resets) are counted apart and eject by this number in a row
            alone, and the other rules see only answers (Envoy:
            split_external_local_origin_errors).
        failure_ratio: Part of a backend's requests, 0 to 1, that ejects it when it
            fails (Armeria: 0.5).
        failure_min_requests: Requests in the window, below which no ratio ejects.
        failure_window: Seconds that ratios look back, in ten buckets (linkerd: 30 s).
        success_rate_deviations: Eject a backend that succeeds more than so many
            standard deviations less often than its peers do on average (Envoy: 1.9).
            Among few backends nobody can deviate so far, so it needs
            `comparison_min_backends`.
        latency_factor: Eject a backend whose average latency is more than so many times
            the median of its peers.
        comparison_min_requests: Requests in the window, below which a backend is
            neither compared nor compared with (Envoy: 100).
        comparison_min_backends: Backends with that many requests, below which none is
            compared (Envoy: 5).
        failure_statuses: Statuses that are failures.
        is_failure: Tells of a response, as the client made it, whether it is a failure;
            None leaves it to its status.
            It is called with every response, so it had better be quick, and must not
            read the body.
        base_ejection_time: Seconds of the first ejection; doubled by each further one
            (linkerd: 1 s).
        max_ejection_time: Seconds that no ejection exceeds.
            Short on purpose: one process has little to lose by one more trial.
        max_ejected: Part of the backends, 0 to 1, that may be ejected at once on soft
            evidence (bad answers); at least one when there are two or more, but 0 is
            none.
            Backends that cannot even be connected to are not capped.
            The last usable backend is never ejected.
        max_throttle_time: Seconds that a backend can be out because it asked to be left
            alone, whatever its ``Retry-After`` says (linkerd: 60 s).
        fail_open: Use backends that look sick when no other is left, instead of
            raising `NoBackendsAvailable`.
        panic_threshold: Part of the backends, 0 to 1; while fewer are usable, all are
            used that are neither drained nor marked, whatever the evidence says
            (Envoy: 0.5; known-dead ones would get traffic, so it is off).
        slow_start: Seconds in which the share of a new or returning backend grows from
            a tenth to all of it (Envoy, Armeria); not for strategies that hash.

    Raises:
        ConfigurationError: If a value is out of its range.
    """

    consecutive_failures: int = 5
    consecutive_local_failures: int | None = None
    failure_ratio: float = 0.5
    failure_min_requests: int = 20
    failure_window: float = 30.0
    success_rate_deviations: float = 0.0
    latency_factor: float = 0.0
    comparison_min_requests: int = 100
    comparison_min_backends: int = 5
    failure_statuses: Collection[int] = FAILURE_STATUSES
    is_failure: Callable[[Any], bool | None] | None = field(
        default=None, metadata={"is_setting": False}
    )
    base_ejection_time: float = 1.0
    max_ejection_time: float = 15.0
    max_ejected: float = 0.5
    max_throttle_time: float = 60.0
    fail_open: bool = True
    panic_threshold: float = 0.0
    slow_start: float = 10.0

    def __post_init__(self) -> None:
        """Refuse values out of range."""
        for name, least in (
            ("consecutive_failures", 0),
            ("failure_min_requests", 1),
            ("comparison_min_requests", 1),
            ("comparison_min_backends", 2),
        ):
            check_integer(name, getattr(self, name), least=least)
        if self.consecutive_local_failures is not None:
            check_integer(
                "consecutive_local_failures", self.consecutive_local_failures, least=0
            )
        check_number(
            "failure_ratio", self.failure_ratio, most=1, unit="a part of the requests"
        )
        for name in ("max_ejected", "panic_threshold"):
            value = getattr(self, name)
            check_number(name, value, most=1, unit="a part of the backends")
        for name in ("success_rate_deviations", "latency_factor"):
            check_number(name, getattr(self, name))
        if 0 < self.latency_factor <= 1:
            raise ConfigurationError(
                f"latency_factor={self.latency_factor!r}: give a number above 1, or "
                f"half of the backends are too slow; 0 switches it off"
            )
        for name in ("failure_window", "base_ejection_time"):
            check_number(name, getattr(self, name), above=True, unit="seconds")
        check_number(
            "max_ejection_time",
            self.max_ejection_time,
            least=self.base_ejection_time,
            unit="seconds",
        )
        check_number("max_throttle_time", self.max_throttle_time, unit="seconds")
        check_number("slow_start", self.slow_start, unit="seconds")
        if self.panic_threshold and not self.fail_open:
            raise ConfigurationError(
                f"panic_threshold={self.panic_threshold!r}: fail_open=False never "
                f"ignores health; leave one of the two away"
            )
        self._check_verdicts()

    def _check_verdicts(self) -> None:
        for status in self.failure_statuses:
            check_integer("failure_statuses", status, least=400, most=599)
        object.__setattr__(self, "failure_statuses", frozenset(self.failure_statuses))
        if self.is_failure is not None and not callable(self.is_failure):
            raise ConfigurationError(
                f"is_failure={self.is_failure!r}: give a function of a response"
            )

    @property
    def compares(self) -> bool:
        """Whether backends are judged by what their peers do."""
        return self.success_rate_deviations > 0 or self.latency_factor > 0
