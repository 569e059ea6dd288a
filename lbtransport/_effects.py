"""What a generator of the exchange asks the outside world to do.

An effect says what is to be done and holds no code that does it: `_drive` performs it,
once for threads and once for tasks, and hands back the result or throws in the error.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from tenacity import BaseRetrying

from lbtransport._types import Backend, Signal


@dataclass(frozen=True, slots=True)
class Send:
    """Send the request to a backend; gives the response, its body unread.

    Attributes:
        backend: Where to.
        timeout: Seconds that are left for it; None leaves the client's own alone.
    """

    backend: Backend
    timeout: float | None


@dataclass(frozen=True, slots=True)
class Sleep:
    """Wait for `seconds`, at least 0."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Wait:
    """Wait for a signal; gives whether it came within `timeout` seconds."""

    signal: Signal
    timeout: float | None


@dataclass(frozen=True, slots=True)
class Call:
    """Call a function, and await what it returns if that can be awaited."""

    function: Callable[..., Any]
    arguments: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class Vet:
    """Refuse a user's own tenacity object that cannot be honoured here."""

    retrying: BaseRetrying


@dataclass(frozen=True, slots=True)
class Close:
    """Close a response that nobody will see."""

    response: Any


class Checker(Protocol):
    """An active health check."""

    def __call__(self, backend: Backend) -> Any:
        """Return, perhaps as an awaitable, whether the backend is well."""
        ...


class Resolver(Protocol):
    """A source of backends."""

    def resolve(self) -> Any:
        """Return, perhaps as an awaitable, the backends there are now."""
        ...


@dataclass(frozen=True, slots=True)
class Check:
    """Check a backend's health; gives the checker's answer."""

    checker: Checker
    backend: Backend


@dataclass(frozen=True, slots=True)
class Resolve:
    """Ask a discovery for its backends; gives its answer."""

    resolver: Resolver


Effect: TypeAlias = Send | Sleep | Wait | Call | Vet | Close | Check | Resolve
