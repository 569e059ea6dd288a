"""Bodies: of responses, which give the backend back when they end, and of requests.

How a response's body ends, and what is made of it:

    read to its end, or closed early      a success, if the headers were one
    cut, reset, timed out                 `Fault.BODY`, a failure of the backend
    cut by closing the transport          no verdict
    cut by the deadline                   no verdict
    cancelled                             no verdict
    broken by no error of the client's    no verdict: an application in this process
    dropped without being closed          settled by the selection's own finaliser

A body may be dropped while any lock is held, this process's garbage collector being
what it is, so a finaliser here closes nothing: it leaves the stream in `litter`, and
the transport's next request closes it, or the end of its next body, in the thread or
loop that owns it.  (httpcore would otherwise keep the connection busy for ever.)
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from typing import Any, Protocol

from lbtransport._httpx_family.deadlines import Deadline
from lbtransport._selection import Selection
from lbtransport._types import Exchange, Outcome
from lbtransport._types.attempt import annotate
from lbtransport._types.exceptions import outcome_of_body_error
from lbtransport._types.outcome import NEUTRAL

logger = logging.getLogger("lbtransport.balancer")


class Litter:
    """What finalisers leave to the transport's next request to close.

    Attributes:
        is_foreign: Whether it is the parent's of a fork, so that nothing of it may be
            closed here.
    """

    def __init__(self) -> None:
        """Be empty."""
        self._dropped: deque[tuple[Any, Any]] = deque()
        self._kept: dict[int, Any] = {}
        self.is_foreign = False

    def __bool__(self) -> bool:
        """Tell whether something is to be closed."""
        return bool(self._dropped) and not self.is_foreign

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


class Owner(Protocol):
    """The inner transport that a body comes from.

    Attributes:
        open: The requests that have a connection of it, or wait for one.
        litter: Where the stream goes if nobody closes it.
        is_left: Whether the caller had it closed, in the middle of what it does.
    """

    open: dict[Any, None]
    litter: Litter
    is_left: bool


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
        owner: Owner,
        request: Any,
        *,
        deadline: Deadline | None,
        exchange: Exchange,
    ) -> None:
        """Wrap the client's `stream`.

        Args:
            stream: The inner transport's.
            selection: Released when the body ends.
            owner: Kept alive until the body is closed.
            request: As the owner knows it.
            deadline: When it must have ended; None if it may take for ever.
            exchange: What led to it, for an error to tell.
        """
        self._stream = stream
        self._selection = selection
        self._owner: Owner | None = owner
        self._litter = owner.litter
        self._request = request
        self._deadline = deadline
        self._exchange = exchange
        self._is_closed = False

    def _fail(self, error: BaseException) -> None:
        """Give the backend back, and have an error that ended the body tell of it."""
        self._selection.release(outcome=self._outcome_of(error))
        if isinstance(error, Exception):
            annotate(error, *self._exchange)

    def _outcome_of(self, error: BaseException) -> Outcome:
        """Return what it says of the backend that the body ended with an error."""
        # By the caller's limit, or by his closing the transport.
        is_cut_by_us = (self._deadline is not None and self._deadline.is_over) or (
            self._owner is not None and self._owner.is_left
        )
        is_clients = isinstance(error, self.client_error)
        if is_cut_by_us or (isinstance(error, Exception) and not is_clients):
            return NEUTRAL
        return outcome_of_body_error(error)

    def _leave_owner(self) -> None:
        """Let go of what a closed response, which may live on for long, needs not."""
        owner, self._owner = self._owner, None
        if owner is not None:
            owner.open.pop(self._request, None)
        self._deadline = None  # it knows the owner too

    def __del__(self) -> None:
        """Leave an unclosed stream to the next request."""
        if not self._is_closed:
            self._litter.drop(self._stream, self)
            self._leave_owner()


class SyncBody(_Body):
    """The body of a response to a synchronous client."""

    def __iter__(self) -> Iterator[bytes]:
        """Yield the chunks as they arrive."""
        chunks, deadline = iter(self._stream), self._deadline
        # A generator that the collector meets is closed by it at once, and httpcore's
        # would take its pool's lock, which this very thread may hold.
        self._litter.keep(self, chunks)
        try:
            if deadline is None:
                for chunk in chunks:
                    yield chunk
            else:
                while (chunk := deadline.next(chunks)) is not None:
                    yield chunk
        except GeneratorExit:
            # The caller stopped; he will close the response.  Or the collector did,
            # and must meet no lock.
            raise
        except BaseException as error:
            self._fail(error)
            raise
        self._selection.release()

    def close(self) -> None:
        """Give the backend back and close the stream."""
        self._is_closed = True
        self._selection.release()
        try:
            self._stream.close()
        finally:
            self._litter.let_go(self)
            self._leave_owner()
        if self._litter:
            self._litter.sweep()


class AsyncBody(_Body):
    """The body of a response to an asynchronous client."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Yield the chunks as they arrive."""
        chunks, deadline = aiter(self._stream), self._deadline
        try:
            if deadline is None:
                async for chunk in chunks:
                    yield chunk
            else:
                while (chunk := await deadline.next_async(chunks)) is not None:
                    yield chunk
        except GeneratorExit:
            raise  # as above
        except BaseException as error:
            self._fail(error)
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
        try:
            await self._stream.aclose()
        finally:
            self._leave_owner()
        if self._litter:
            await self._litter.sweep_async()
