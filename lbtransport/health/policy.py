"""When a backend is taken out of rotation, and for how long."""

from __future__ import annotations

from dataclasses import dataclass

from lbtransport._validation import check_integer, check_number


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthPolicy:
    """The rules of passive health (outlier detection).

    Args:
        consecutive_failures: Failures in a row that eject a backend (Envoy and
            Finagle: 5).
        base_ejection_time: Seconds of the first ejection; doubled by each further one
            (linkerd: 1 s).
        max_ejection_time: Seconds that no ejection exceeds.
            Short on purpose: one process has little to lose by one more trial.
        max_ejected: Part of the backends, 0 to 1, that may be ejected at once on soft
            evidence (bad answers); at least one when there are two or more.
            Backends that cannot even be connected to are not capped.
            The last usable backend is never ejected.
        max_throttle_time: Seconds that a backend can be out because it asked to be left
            alone, whatever its ``Retry-After`` says (linkerd: 60 s).
        fail_open: Use backends that look sick when no other is left, instead of
            raising `NoBackendsAvailable`.

    Raises:
        ConfigurationError: If a value is out of its range.
    """

    consecutive_failures: int = 5
    base_ejection_time: float = 1.0
    max_ejection_time: float = 15.0
    max_ejected: float = 0.5
    max_throttle_time: float = 60.0
    fail_open: bool = True

    def __post_init__(self) -> None:
        """Refuse values out of range."""
        check_integer("consecutive_failures", self.consecutive_failures, least=1)
        check_number(
            "base_ejection_time", self.base_ejection_time, above=True, unit="seconds"
        )
        check_number(
            "max_ejection_time",
            self.max_ejection_time,
            least=self.base_ejection_time,
            unit="seconds",
        )
        check_number("max_throttle_time", self.max_throttle_time, unit="seconds")
        check_number(
            "max_ejected", self.max_ejected, most=1, unit="a part of the backends"
        )
