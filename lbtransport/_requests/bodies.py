"""Bodies: of responses, which give the backend back when they end, and of requests.

How a response's body ends, and what is made of it:

    read to its end                        a success, if the headers were one
    cut, reset, timed out                  `Fault.BODY`, a failure of the backend
    cannot be decoded, deadline over       no verdict
    interrupted                            no verdict
    closed early, or dropped               abandoned: a success, if the headers were one

An early close is often the garbage collector's doing (`io.IOBase` closes what is
dropped, and so does an `io.TextIOWrapper` around it), in any thread, under any lock.
So it only has the selection noted as abandoned, which takes no lock.
(To drop it and leave the rest to its own finaliser would not do: an error of an earlier
attempt may keep it alive, since urllib3's tracebacks are cycles.)

urllib3 gives the connection back before it raises what cut a body, so the connection's
return says nothing: only how `read` ended does.

References:
    urllib3, `HTTPResponse._error_catcher`.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Generator, Iterator
from contextlib import AbstractContextManager, closing, nullcontext
from typing import Any

from urllib3 import HTTPResponse
from urllib3.exceptions import ReadTimeoutError

from lbtransport._balancer import Balancer
from lbtransport._limits import Limit, limit
from lbtransport._once import Once
from lbtransport._selection import Selection
from lbtransport._types.attempt import annotate
from lbtransport._types.exceptions import outcome_of_body_error
from lbtransport._types.outcome import NEUTRAL, Outcome

_PIECE = 65536  # bytes; as urllib3 reads

_FOR_EVER = nullcontext()

# Attributes of a response that urllib3 made and knows nothing of.
_SELECTION, _ENDS_AT, _BALANCER = "_lb_selection", "_lb_ends_at", "_lb_balancer"


class BalancedResponse(HTTPResponse):
    """urllib3's response, giving back its selection when its body ends."""

    # Set by `balance`, which makes one of these out of a response that is there.
    _lb_ends_at: float
    _lb_balancer: Balancer

    _lb_reader: int | None = None  # the thread that waits for a chunk

    def read(
        self,
        amt: int | None = None,
        decode_content: bool | None = None,
        cache_content: bool = False,
    ) -> bytes:
        """Read as urllib3 does, and take note of how it ended."""
        try:
            with self._in_time():
                data = super().read(amt, decode_content, cache_content)
        except BaseException as error:
            self._fail(error)
            raise
        if self.length_remaining == 0 or self.isclosed():
            self._release(None)
        return data

    def read1(
        self, amt: int | None = None, decode_content: bool | None = None
    ) -> bytes:
        """Read as urllib3 does, and take note of how it ended."""
        try:
            with self._in_time():
                data = super().read1(amt, decode_content)
        except BaseException as error:
            self._fail(error)
            raise
        if self.length_remaining == 0 or self.isclosed():
            self._release(None)
        return data

    def stream(
        self, amt: int | None = _PIECE, decode_content: bool | None = None
    ) -> Generator[bytes]:
        """Read as urllib3 does; where a mock's body ends, no read may have told."""
        yield from super().stream(amt, decode_content)
        self._release(None)

    def read_chunked(
        self, amt: int | None = None, decode_content: bool | None = None
    ) -> Generator[bytes]:
        """Read as urllib3 does, and take note of how it ended."""
        if not self.chunked:  # urllib3 refuses, and the body is still there
            return super().read_chunked(amt, decode_content)
        return self._watched(super().read_chunked(amt, decode_content))

    def drain_conn(self) -> None:
        """Read the rest away, and give the backend back."""
        super().drain_conn()
        self._release(None)

    def close(self) -> None:
        """Close, and give the backend back if the body has not ended before."""
        # urllib3 itself closes what is malformed, before it says so.
        if self._lb_reader != threading.get_ident():
            self._abandon()
        super().close()

    def _watched(self, chunks: Generator[bytes]) -> Generator[bytes]:
        try:
            with closing(chunks):
                while (chunk := self._next_of(chunks)) is not None:
                    yield chunk
        except GeneratorExit:
            self._abandon()
            raise
        except BaseException as error:
            self._fail(error)
            raise
        self._release(None)

    def _next_of(self, chunks: Iterator[bytes]) -> bytes | None:
        self._lb_reader = threading.get_ident()
        try:
            with self._in_time():
                return next(chunks, None)
        finally:
            self._lb_reader = None

    def _time_left(self) -> float:
        return self._lb_ends_at - self._lb_balancer.clock.monotonic()

    def _in_time(self) -> AbstractContextManager[object]:
        """Let what is read inside the block last no longer than the deadline allows."""
        if self._lb_ends_at == math.inf:
            return _FOR_EVER
        left = self._time_left()
        if left <= 0:
            super().close()
            self.release_conn()
            pool: Any = self._pool
            raise ReadTimeoutError(pool, "", "the deadline is over before the body is")
        limit(socket_of(self))
        return Limit(left)

    def _fail(self, error: BaseException) -> None:
        """Give the backend back, with the verdict on an error while reading."""
        outcome = outcome_of_body_error(error)
        if isinstance(error, ReadTimeoutError) and self._time_left() <= 0:
            outcome = NEUTRAL  # the caller's limit, not the backend's fault
        selection: Selection | None = self.__dict__.get(_SELECTION)
        if selection is not None and isinstance(error, Exception):
            annotate(error, self._lb_balancer.name, selection.attempts)
        self._release(outcome)

    def _release(self, outcome: Outcome | None) -> None:
        """Give the backend back; the first one wins, whichever thread it is in."""
        selection: Selection | None = self.__dict__.pop(_SELECTION, None)
        if selection is not None:
            selection.release(outcome=outcome)

    def _abandon(self) -> None:
        """Give the backend back in a way that a finaliser may."""
        selection: Selection | None = self.__dict__.pop(_SELECTION, None)
        if selection is not None:
            selection.abandon()


def balance(
    raw: Any, selection: Selection, balancer: Balancer, *, ends_at: float | None
) -> None:
    """Have a response give back its selection when its body ends.

    Args:
        raw: What requests calls the raw response: urllib3's, or a mock's.
        selection: Belongs to the body from now on.
        balancer: Whose selection it is.
        ends_at: Instant of the deadline; None if there is none.
    """
    # A subclass has a life of its own, and a mock perhaps no end: done at the headers.
    # So is what has no body, which nobody might ever read or close.
    if type(raw) is not HTTPResponse or raw.length_remaining == 0:
        selection.release()
        return
    raw.__class__ = BalancedResponse
    raw.__dict__.update(
        {
            _SELECTION: selection,
            _ENDS_AT: math.inf if ends_at is None else ends_at,
            _BALANCER: balancer,
        }
    )


def socket_of(raw: Any) -> Any:
    """Return what a response is read from; None if it has let go of it."""
    return getattr(getattr(raw, "connection", None), "sock", None)


class OnceIterable(Once):
    """For a generator, or anything that is iterated."""

    def __iter__(self) -> Iterator[bytes | str]:
        """Yield the parts."""
        with self._touch():
            yield from self._body


class OnceReadable(Once):
    """For a file that cannot be rewound, a pipe for example."""

    def read(self, size: int = -1) -> bytes:
        """Read."""
        with self._touch():
            data: bytes | str = self._body.read(size)
        return data.encode() if isinstance(data, str) else data


def once(body: Any) -> OnceIterable | OnceReadable:
    """Return a stand-in for a body that can be sent only once."""
    return OnceReadable(body) if hasattr(body, "read") else OnceIterable(body)
