"""Limits: how long a thread may wait, all in all, for what it reads and writes.

A socket's timeout holds for one call, and begins anew with each byte that trickles in,
with each part of an upload, and with each address of a name.
So while a thread has a limit, every call on a socket asks here how much of it is left;
the call that is too late ends with the timeout that the client knows how to tell.

Nobody watches from outside: a thread that shuts down the sockets of others would have
to know which connection they are on, must never hit the next one's, and makes a
response that ends with its connection look complete.

Not here: whose sockets ask.  Those of urllib3 do (`_requests.pools`), and those of
httpcore (`_httpx_family.streams`).  A task needs none of this, for it can be cancelled.
"""

from __future__ import annotations

import math
import socket
import ssl
import threading
import time
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

from lbtransport._effects import SHORTEST_TIMEOUT


class _Current(threading.local):
    ends_at = math.inf


_current = _Current()


class Limit:
    """For the thread that enters it: all calls are to end within some seconds.

    Inside another one, the earlier end counts.
    """

    __slots__ = ("_ends_at", "_outer", "_seconds")

    def __init__(self, seconds: float) -> None:
        """Begin to count when it is entered."""
        self._seconds = seconds

    @property
    def is_over(self) -> bool:
        """Whether the time is over, or as good as over."""
        return self._ends_at - time.monotonic() <= SHORTEST_TIMEOUT

    def __enter__(self) -> Self:
        """Begin."""
        self._outer = _current.ends_at
        self._ends_at = min(time.monotonic() + self._seconds, self._outer)
        _current.ends_at = self._ends_at
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Go back to what held before."""
        _current.ends_at = self._outer


def is_limited() -> bool:
    """Tell whether this thread has a limit."""
    return _current.ends_at != math.inf


def shorter(timeout: float | None) -> float | None:
    """Return the timeout of the next call: what is given, or less if less is left."""
    ends_at = _current.ends_at
    if ends_at == math.inf:
        return timeout
    left = max(ends_at - time.monotonic(), SHORTEST_TIMEOUT)
    return left if timeout is None else min(timeout, left)


def addresses_of(host: str, port: int, family: int = 0) -> list[str]:
    """Return the addresses of a name, in the order to try them; none if it has none."""
    with suppress(OSError, UnicodeError):
        found = socket.getaddrinfo(host, port, family, socket.SOCK_STREAM)
        numeric = socket.NI_NUMERICHOST | socket.NI_NUMERICSERV
        # Not the bare address, which for a link-local one says nothing of the link.
        return [socket.getnameinfo(entry[4], numeric)[0] for entry in found]
    return []


class _Limited:
    """Asks before each call; none of these calls returns before something was done."""

    __slots__ = ()

    def recv_into(self, *args: Any) -> Any:
        """Receive."""
        return self._within("recv_into", args)

    def send(self, *args: Any) -> Any:
        """Send some; with TLS, `sendall` is made of it."""
        return self._within("send", args)

    def sendall(self, *args: Any) -> Any:
        """Send all."""
        return self._within("sendall", args)

    def _within(self, name: str, args: tuple[Any, ...]) -> Any:
        this: Any = self
        call = getattr(super(), name)
        own = this.gettimeout()
        timeout = shorter(own)
        if timeout == own:
            return call(*args)
        this.settimeout(timeout)
        try:
            return call(*args)
        finally:
            this.settimeout(own)


class LimitedSocket(_Limited, socket.socket):
    """A socket whose calls keep to the limit of their thread."""

    __slots__ = ()


class LimitedTlsSocket(_Limited, ssl.SSLSocket):
    """The same with TLS."""

    __slots__ = ()


_LIMITED = {socket.socket: LimitedSocket, ssl.SSLSocket: LimitedTlsSocket}


def limit(sock: Any) -> None:
    """Have a socket keep to the limits of whichever thread uses it, from now on.

    Args:
        sock: Of another kind than Python's own, it is but given what is left as its
            timeout; None is nothing.
    """
    kind = type(sock)
    if kind in _LIMITED:
        sock.__class__ = _LIMITED[kind]
    elif sock is not None and not isinstance(sock, _Limited):
        sock.settimeout(shorter(sock.gettimeout()))
