"""Bodies: of responses, which give the backend back when they end, and of requests.

How a response's body ends, and what is made of it:

    read to its end, or closed early      a success, if the headers were one
    cut, reset, timed out                 `Fault.BODY`, a failure of the backend
    cancelled                             no verdict
    broken by no error of the client's    no verdict: an application in this process
    dropped without being closed          settled by the selection's own finaliser

A body may be dropped while any lock is held, this process's garbage collector being
what it is, so a finaliser here closes nothing: it leaves the stream in `litter`, and
the transport's next request closes it, in the thread or loop that owns it.  (httpcore
would otherwise keep the connection busy for ever.)
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from typing import Any

from lbtransport._once import Once
from lbtransport._selection import Selection
from lbtransport._types import Outcome
from lbtransport._types.exceptions import outcome_of_body_error
from lbtransport._types.outcome import NEUTRAL

logger = logging.getLogger("lbtransport.balancer")


class Litter:
    """What finalisers leave to the transport's next request to close."""

    def __init__(self) -> None:
        """Be empty."""
        self._dropped: deque[tuple[Any, Any]] = deque()
        self._kept: dict[int, Any] = {}

    def __bool__(self) -> bool:
        """Tell whether something is to be closed."""
        return bool(self._dropped)

    def drop(self, thing: Any, owner: object = None) -> None:
        """Leave `thing`, and what was kept for `owner`; takes no lock."""
        self._dropped.append((thing, self._kept.pop(id(owner), None)))

    def keep(self, owner: object, thing: Any) -> None:
        """Keep `thing` from the collector until `owner` lets go of it or drops it."""
        self._kept[id(owner)] = thing

    def let_go(self, owner: object) -> None:
        """Keep nothing any more for `owner`."""
        self._kept.pop(id(owner), None)

    def sweep(self) -> None:
        """Close what was left, in the thread of a caller."""
        while self._dropped:
            try:
                thing, _ = self._dropped.popleft()
                thing.close()
            except Exception:  # nobody waits for it any more
                logger.debug("closing what was dropped failed", exc_info=True)

    async def sweep_async(self) -> None:
        """Close what was left, in a task of the loop that owns it."""
        while self._dropped:
            try:
                thing, _ = self._dropped.popleft()
                await thing.aclose()
            except Exception:  # nobody waits for it any more
                logger.debug("closing what was dropped failed", exc_info=True)


class _Body:
    """A response's body with the selection that ends with it.

    Attributes:
        client_error: The client's base of what can go wrong with a backend.
    """

    client_error: type[Exception]

    def __init__(
        self,
        stream: Any,
        selection: Selection,
        owner: object,
        litter: Litter,
        check_deadline: Callable[[], None] | None,
    ) -> None:
        """Wrap the client's `stream`.

        Args:
            stream: The inner transport's.
            selection: Released when the body ends.
            owner: Kept alive until the body is closed.
            litter: Where the stream goes if nobody closes it.
            check_deadline: Called with each chunk; raises when time is over.
        """
        self._stream = stream
        self._selection = selection
        self._owner: object = owner
        self._litter = litter
        self._check_deadline = check_deadline
        self._is_closed = False

    def _outcome_of(self, error: BaseException) -> Outcome:
        if isinstance(error, Exception) and not isinstance(error, self.client_error):
            return NEUTRAL
        return outcome_of_body_error(error)

    def __del__(self) -> None:
        """Leave an unclosed stream to the next request."""
        if not self._is_closed:
            self._litter.drop(self._stream, self)


class SyncBody(_Body):
    """The body of a response to a synchronous client."""

    def __iter__(self) -> Iterator[bytes]:
        """Yield the chunks as they arrive."""
        chunks = iter(self._stream)
        # A generator that the collector meets is closed by it at once, and httpcore's
        # would take its pool's lock, which this very thread may hold.
        self._litter.keep(self, chunks)
        try:
            for chunk in chunks:
                if self._check_deadline is not None:
                    self._check_deadline()
                yield chunk
        except GeneratorExit:
            # The caller stopped; he will close the response.  Or the collector did,
            # and must meet no lock.
            raise
        except BaseException as error:
            self._selection.release(outcome=self._outcome_of(error))
            raise
        self._selection.release()

    def close(self) -> None:
        """Give the backend back and close the stream."""
        self._is_closed = True
        self._selection.release()
        self._stream.close()
        self._litter.let_go(self)
        self._owner = None  # a closed response may live on for long


class AsyncBody(_Body):
    """The body of a response to an asynchronous client."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Yield the chunks as they arrive."""
        chunks = aiter(self._stream)
        try:
            async for chunk in chunks:
                if self._check_deadline is not None:
                    self._check_deadline()
                yield chunk
        except GeneratorExit:
            raise  # as above
        except BaseException as error:
            self._selection.release(outcome=self._outcome_of(error))
            raise
        finally:
            # Nobody else can, and trio complains of what is left to the collector.
            if isinstance(chunks, AsyncGenerator):
                await chunks.aclose()
        self._selection.release()

    async def aclose(self) -> None:
        """Give the backend back, before anything can be cancelled, and close."""
        self._is_closed = True
        self._selection.release()
        await self._stream.aclose()
        self._owner = None


class TouchedSyncStream(Once):
    """For a synchronous client."""

    def __iter__(self) -> Iterator[bytes]:
        """Yield the chunks."""
        with self._touch():
            yield from self._body


class TouchedAsyncStream(Once):
    """For an asynchronous client."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Yield the chunks."""
        with self._touch():
            async for chunk in self._body:
                yield chunk
