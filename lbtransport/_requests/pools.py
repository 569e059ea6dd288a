"""Pools: urllib3's, which know how old a connection may get and when it is too late.

urllib3 keeps an idle connection for ever.
Servers, and whatever stands in between, do not: the next request on it then fails, or
is lost in silence.
So a connection is looked at when it is taken from its pool, and one that was idle for
too long, or is too old, is closed and opened anew, as urllib3 itself does with one that
it sees dropped.

What is overridden is private to urllib3, though there since 1.x; if it goes, nobody
calls what is here, and a pool is urllib3's own again.
The connections stay urllib3's own class, which vcrpy replaces.

Where the thread has a limit (`_limits`), its connection's socket keeps to it, and so do
the addresses of a name, of which urllib3 would give each the whole of the timeout.

Not here: which pool is whose (`routes`).

References:
    urllib3#2498 and urllib3#3184, on connections that are kept for ever.
"""

from __future__ import annotations

import functools
import math
import queue
import traceback
from contextlib import suppress
from dataclasses import dataclass
from http.client import RemoteDisconnected
from typing import Any

from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection
from urllib3.exceptions import ConnectTimeoutError, ProtocolError
from urllib3.util.connection import allowed_gai_family

from lbtransport._clock import Clock
from lbtransport._limits import addresses_of, is_limited, limit, shorter
from lbtransport._validation import check_number


class StaleConnectionError(ProtocolError):
    """A connection that had served before was closed when the next request came.

    Hardly ever a fault: both sides may close an idle connection at any time, also while
    a request is under way (RFC 9112, 9.3.1).
    """


@dataclass(frozen=True, slots=True)
class Lifetime:
    """How long connections are used.

    Attributes:
        keepalive_expiry: Seconds that a connection may be idle; None for ever.
        max_connection_age: Seconds after which it gets no other request; None for
            never.

    Raises:
        ConfigurationError: If one is no number of seconds.
    """

    keepalive_expiry: float | None
    max_connection_age: float | None

    def __post_init__(self) -> None:
        """Refuse values out of range."""
        for name in self.__slots__:
            seconds = getattr(self, name)
            if seconds is not None:
                check_number(name, seconds, unit="seconds")

    def is_over(self, connection: Any, now: float) -> bool:
        """Tell whether a connection, which is open, should be used no more."""
        # One that was opened without us bears no mark, and is taken as it is.
        idle_since = getattr(connection, "lbtransport_idle_since", math.inf)
        opened_at = getattr(connection, "lbtransport_opened_at", math.inf)
        expiry, age = self.keepalive_expiry, self.max_connection_age
        return (expiry is not None and now - idle_since >= expiry) or (
            age is not None and now - opened_at >= age
        )


class WatchedPool(HTTPConnectionPool):
    """The connections to one backend.  Thread-safe, as urllib3's are."""

    # Set by `watch`, which makes one of these out of a pool that is there.
    lbtransport_clock: Clock
    lbtransport_lifetime: Lifetime
    lbtransport_is_retired = False

    def retire(self) -> None:
        """Close what is idle now, and what is in use when its response has ended.

        Not urllib3's `close`, after which a request that is about to be sent fails.
        """
        self.lbtransport_is_retired = True
        self._close_idle()

    def _get_conn(self, timeout: float | None = None) -> Any:
        """Return a connection, which is opened anew if its time is over."""
        # Nobody gives a timeout, and with pool_block it would be for ever.
        connection: Any = super()._get_conn(shorter(timeout))
        now = self.lbtransport_clock.monotonic()
        if not connection.is_closed and self.lbtransport_lifetime.is_over(
            connection, now
        ):
            connection.close()
        connection.lbtransport_is_reused = not connection.is_closed
        if connection.is_closed:  # and opens by itself when it is used
            connection.lbtransport_opened_at = now
        return connection

    def _put_conn(self, conn: Any) -> None:
        """Take a connection back."""
        if conn is not None:
            conn.lbtransport_idle_since = self.lbtransport_clock.monotonic()
        super()._put_conn(conn)
        # Looked at afterwards, or what is retired in between would keep it.
        if self.lbtransport_is_retired:
            self._close_idle()

    def _close_idle(self) -> None:
        pool: Any = self.pool
        slots = 0
        with suppress(queue.Empty, AttributeError):  # None, if a user closed it
            while True:
                connection = pool.get(block=False)
                slots += 1
                if connection is not None:
                    connection.close()
        with suppress(queue.Full):
            for _ in range(slots):
                pool.put(None, block=False)

    def _make_request(self, conn: Any, *args: Any, **kwargs: Any) -> Any:
        """Send a request, and tell a connection that was stale from one that broke."""
        if is_limited():
            _limit(conn)
        try:
            return super()._make_request(conn, *args, **kwargs)
        except (RemoteDisconnected, ConnectionError) as error:
            if getattr(conn, "lbtransport_is_reused", False) and _is_unanswered(error):
                # As urllib3 would word it.
                raise StaleConnectionError("Connection aborted.", error) from error
            raise


class WatchedTlsPool(WatchedPool, HTTPSConnectionPool):
    """The same with TLS; tells a handshake that hangs from an answer that does.

    urllib3 calls both a read timeout; but a request whose handshake never ended was
    never sent, and may go to another backend whatever its method.
    """

    def _validate_conn(self, conn: Any) -> None:
        """Connect and shake hands."""
        try:
            super()._validate_conn(conn)
        except TimeoutError as error:
            raise ConnectTimeoutError(
                conn, f"the TLS handshake with {self.host} timed out"
            ) from error
        if is_limited():
            limit(conn.sock)


def _limit(connection: Any) -> None:
    """Have what is done next on a connection keep to the limit of this thread."""
    limit(connection.sock)
    opens = getattr(type(connection), "_new_conn", None)
    # Another one's, which a proxy of SOCKS has, knows better what a name means.
    if connection.is_closed and opens is HTTPConnection._new_conn:  # noqa: SLF001
        # The instance's, for once: its class stays what it is.
        connection._new_conn = functools.partial(_open_in_turn, connection)  # noqa: SLF001


def _open_in_turn(connection: Any) -> Any:
    """Open a socket to one address of the name after the other, in time."""
    del connection._new_conn  # noqa: SLF001 - and what it stood before is found again
    name, own = connection._dns_host, connection.timeout  # noqa: SLF001
    addresses = addresses_of(name, connection.port, allowed_gai_family()) or [name]
    opened = None
    try:
        while opened is None:
            connection._dns_host = addresses.pop(0)  # noqa: SLF001
            connection.timeout = shorter(own)
            try:
                opened = connection._new_conn()  # noqa: SLF001
            except ConnectTimeoutError:  # or refused, which urllib3 says is one
                if not addresses:
                    raise
    finally:
        connection._dns_host, connection.timeout = name, own  # noqa: SLF001
    opened.settimeout(shorter(own))  # of the handshake, if one follows
    limit(opened)
    return opened


def _is_unanswered(error: BaseException) -> bool:
    """Tell whether not even the first line of an answer had come.

    Whoever begins to answer acts on the request.  Only the standard library knows, in
    the traceback; where its names move, no connection counts as stale.
    """
    frames = traceback.walk_tb(error.__traceback__)
    return any(frame.f_code.co_name == "_read_status" for frame, _ in frames)


_WATCHED = {HTTPConnectionPool: WatchedPool, HTTPSConnectionPool: WatchedTlsPool}


def watch(pool: Any, lifetime: Lifetime, clock: Clock) -> None:
    """Have a pool watch its connections.

    Args:
        pool: urllib3's; one of another class, which has a life of its own, is left
            alone.
        lifetime: How long its connections are used.
        clock: Tells how long that is.
    """
    kind = _WATCHED.get(type(pool), type(pool))
    if issubclass(kind, WatchedPool):
        pool.lbtransport_lifetime = lifetime
        pool.lbtransport_clock = clock
        # A proxy's pools are found again when a backend returns.
        pool.lbtransport_is_retired = False
        # Last, for another thread may have found the same one.
        pool.__class__ = kind
