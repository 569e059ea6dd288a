"""Deadlines: for each step that a request takes, no more time than what is left.

A synchronous step is given a limit, which the sockets of its thread keep to
(`_limits`, `streams`).
An asynchronous one is cancelled.  The scope for that is around a single step, sending
or reading one chunk, and never left open while the caller has the word: it would cancel
what he does.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

from lbtransport._clock import Clock
from lbtransport._effects import SHORTEST_TIMEOUT
from lbtransport._limits import Limit
from lbtransport._loops import running_trio

# Seconds by which a cancellation comes later than the client's own timeouts, which
# say better what it was that took so long, and end in better order.
_GRACE = 0.01


class Timeouts(dict[str, Any]):
    """A request's timeouts, none of them longer than what is left when it is asked for.

    httpcore asks for each when the step begins that it is for.
    """

    __slots__ = ("_ends_at", "_given")

    def __init__(self, given: Any, seconds: float) -> None:
        """Cut what is `given` to what is left of so many seconds."""
        names = ("connect", "read", "write", "pool")
        self._given = dict.fromkeys(names) | (given or {})
        super().__init__(
            {
                name: seconds if timeout is None else min(timeout, seconds)
                for name, timeout in self._given.items()
            }
        )
        self.allow(seconds)

    def allow(self, seconds: float | None) -> None:
        """From now on, cut them to what is left of so many seconds; None cuts nothing.

        What has been read as an item, and not by `get`, stays.
        """
        self._ends_at = None if seconds is None else time.monotonic() + seconds

    def get(self, name: str, default: Any = None) -> Any:
        """Return one of them."""
        timeout = self._given.get(name, default)
        if self._ends_at is None:
            return timeout
        left = max(self._ends_at - time.monotonic(), SHORTEST_TIMEOUT)
        return left if timeout is None else min(timeout, left)


class Deadline:
    """The deadline of one request, to whoever reads the response's body."""

    __slots__ = ("_clock", "_ends_at", "_kind", "_make_error")

    def __init__(
        self,
        ends_at: float,
        clock: Clock,
        kind: type[Exception],
        make_error: Callable[[], Exception],
    ) -> None:
        """Be over at an instant on `clock`.

        Args:
            ends_at: The instant.
            clock: Whose it is.
            kind: The base of the client's own timeouts.
            make_error: Makes the one that says whose limit it was.
        """
        self._ends_at = ends_at
        self._clock = clock
        self._kind = kind
        self._make_error = make_error

    @property
    def is_over(self) -> bool:
        """Whether it is over, or as good as over."""
        return self._left <= SHORTEST_TIMEOUT

    @property
    def _left(self) -> float:
        return self._ends_at - self._clock.monotonic()

    def next(self, chunks: Iterator[bytes]) -> bytes | None:
        """Return the next chunk of a body; None at its end.

        Raises:
            Exception: The client's timeout, if the chunk was not here in time.
        """
        # Not refused without a look: the end of what came in time may be here.
        try:
            with Limit(self._left):
                chunk = next(chunks, None)
        except self._kind as error:
            if self.is_over:
                raise self._make_error() from error
            raise
        return self._checked(chunk)

    async def next_async(self, chunks: AsyncIterator[bytes]) -> bytes | None:
        """Do as `next`, in a task."""
        try:
            with move_on_after(self._left):
                return self._checked(await anext(chunks, None))
        except self._kind as error:
            if self.is_over:
                raise self._make_error() from error
            raise
        raise self._make_error()

    def _checked(self, chunk: bytes | None) -> bytes | None:
        if chunk is not None and self.is_over:
            raise self._make_error()
        return chunk


def move_on_after(seconds: float) -> Any:
    """Return a scope that is cancelled a little later than in so many seconds."""
    scopes = running_trio()
    if scopes is None:
        # Not asyncio's timeout: anyio's honours what httpcore shields from
        # cancellation. It comes with the clients, and only tasks need it.
        import anyio as scopes  # noqa: PLC0415 - it costs who never has a deadline
    return scopes.move_on_after(max(seconds, 0) + _GRACE)
