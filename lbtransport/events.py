"""What happens to a service, as typed events for `LoadBalancer.subscribe`.

Events are handed out after the balancer's lock was let go, on a thread that uses the
balancer, in the order in which they happened.
None of them holds a header, a query or a body.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from lbtransport._types import Backend

__all__ = [
    "AttemptHedged",
    "AttemptRetried",
    "BackendAdded",
    "BackendDraining",
    "BackendEjected",
    "BackendFailing",
    "BackendMarked",
    "BackendOnTrial",
    "BackendRecovered",
    "BackendRemoved",
    "BackendReturned",
    "BackendThrottled",
    "CertificatesRefused",
    "Event",
    "PanicEntered",
    "PanicLeft",
    "RetryBudgetExhausted",
]


@dataclass(frozen=True, slots=True)
class BackendAdded:
    """A backend joined the service."""

    service: str
    backend: Backend


@dataclass(frozen=True, slots=True)
class BackendRemoved:
    """A backend left the service; what is in flight to it ends in peace."""

    service: str
    backend: Backend


@dataclass(frozen=True, slots=True)
class BackendEjected:
    """A backend was taken out on the evidence of real traffic, for `seconds`."""

    service: str
    backend: Backend
    reason: str
    seconds: float


@dataclass(frozen=True, slots=True)
class BackendOnTrial:
    """An ejected backend's time is over, and it got the one request of its trial."""

    service: str
    backend: Backend


@dataclass(frozen=True, slots=True)
class BackendReturned:
    """An ejected backend passed its trial, or its checks, and is back in rotation."""

    service: str
    backend: Backend


@dataclass(frozen=True, slots=True)
class BackendFailing:
    """A backend was taken out by its active checks; `reason` is the last one's."""

    service: str
    backend: Backend
    reason: str


@dataclass(frozen=True, slots=True)
class BackendRecovered:
    """The active checks that had taken a backend out speak for it again."""

    service: str
    backend: Backend


@dataclass(frozen=True, slots=True)
class BackendThrottled:
    """A backend asked, by Retry-After, to be left alone for `seconds`."""

    service: str
    backend: Backend
    seconds: float


@dataclass(frozen=True, slots=True)
class BackendMarked:
    """The operator overruled the evidence; None gives it back its say."""

    service: str
    backend: Backend
    healthy: bool | None


@dataclass(frozen=True, slots=True)
class BackendDraining:
    """The operator began, or ended, to drain a backend."""

    service: str
    backend: Backend
    draining: bool


@dataclass(frozen=True, slots=True)
class CertificatesRefused:
    """Half of the backends or more show a certificate that is not trusted.

    Then the fault is likely our own, such as a missing authority, so it ejects nobody.
    Told once, until one of them is trusted.

    Attributes:
        service: Name of the service.
        backend: The last one that was refused.
    """

    service: str
    backend: Backend


@dataclass(frozen=True, slots=True)
class PanicEntered:
    """Too few usable backends are left: health is ignored until they are enough.

    Without a `HealthPolicy.panic_threshold`, too few are none (fail-open).
    """

    service: str


@dataclass(frozen=True, slots=True)
class PanicLeft:
    """Health counts again: usable backends are back, or none is left at all."""

    service: str


@dataclass(frozen=True, slots=True)
class AttemptRetried:
    """An attempt failed and another follows after `wait` seconds.

    Attributes:
        service: Name of the service.
        backend: The backend whose attempt failed.
        reason: What the attempt came to.
        attempt: Number of the attempt that failed; the first is 1.
        wait: Seconds before the next one.
    """

    service: str
    backend: Backend
    reason: str
    attempt: int
    wait: float


@dataclass(frozen=True, slots=True)
class AttemptHedged:
    """No answer came for `delay` seconds, and a second backend is asked as well."""

    service: str
    backend: Backend
    other: Backend
    delay: float


@dataclass(frozen=True, slots=True)
class RetryBudgetExhausted:
    """Retries were refused; told again only after a window without a refusal."""

    service: str


Event: TypeAlias = (
    BackendAdded
    | BackendRemoved
    | BackendEjected
    | BackendOnTrial
    | BackendReturned
    | BackendFailing
    | BackendRecovered
    | BackendThrottled
    | BackendMarked
    | BackendDraining
    | CertificatesRefused
    | PanicEntered
    | PanicLeft
    | AttemptRetried
    | AttemptHedged
    | RetryBudgetExhausted
)
