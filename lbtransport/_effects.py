"""What a generator of the exchange asks the outside world to do.

An effect says what is to be done and holds no code that does it: `_drive` performs it,
once for threads and once for tasks, and hands back the result or throws in the error.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from tenacity import BaseRetrying

from lbtransport._types import Backend, Signal

# Seconds; to the clients, and to sockets, zero means no waiting at all.
SHORTEST_TIMEOUT = 0.001


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
class Race:
    """Send the request, and to another backend too if no answer comes for a while.

    Gives the `Leg`s that ended, the one that counts last: the first whose response is
    welcome, else the last one.
    The others' responses are closed, and what did not end is cancelled, or left to
    itself where nothing can be cancelled.

    Attributes:
        first: The first leg.
        delay: Seconds after which there is a second one.
        extra: Gives the second leg, or None if there is to be none.
        is_welcome: Tells whether a response decides the race.
    """

    first: Send
    delay: float
    extra: Callable[[], Send | None]
    is_welcome: Callable[[Any], bool]


@dataclass(frozen=True, slots=True)
class Leg:
    """How a part of a race ended: with a response, or with an error.

    Attributes:
        number: 0 for the first, 1 for the extra one.
        response: What the courier gave.
        error: What it raised; None if it gave a response.
    """

    number: int
    response: Any = None
    error: BaseException | None = None


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


Effect: TypeAlias = Send | Race | Sleep | Wait | Call | Vet | Close
