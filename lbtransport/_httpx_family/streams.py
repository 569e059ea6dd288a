"""Streams: what httpcore reads and writes for a thread, within the thread's limit.

A synchronous httpcore gives each read, each part of an upload and each address of a
name the whole of its timeout anew; here each gets what is left of the limit
(`_limits`).
Without a limit it all goes straight through.

A task needs none of this: see `deadlines`, which cancels what takes too long.

Where httpcore keeps the maker of its streams is private; if that moves, connections are
httpcore's own again, a deadline is looked at between two steps, and a test fails.

References:
    httpcore, `NetworkBackend` and `NetworkStream`, which are public.
"""

from __future__ import annotations

from typing import Any

from lbtransport._limits import addresses_of, is_limited, shorter

_SLICE = 65536  # bytes; enough to fill a pipe, and few enough to look at the clock


class LimitedStream:
    """One connection, plain or with TLS."""

    __slots__ = ("_stream",)

    def __init__(self, stream: Any) -> None:
        """Stand before httpcore's own `stream`."""
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Return what comes next."""
        data: bytes = self._stream.read(max_bytes, shorter(timeout))
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Write all of it."""
        if len(buffer) <= _SLICE or not is_limited():
            self._stream.write(buffer, shorter(timeout))
            return
        view = memoryview(buffer)
        for start in range(0, len(view), _SLICE):
            self._stream.write(view[start : start + _SLICE], shorter(timeout))

    def close(self) -> None:
        """Close it."""
        self._stream.close()

    def start_tls(
        self,
        ssl_context: Any,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> LimitedStream:
        """Shake hands; return the stream that is read and written from then on."""
        stream = self._stream
        secure = stream.start_tls(ssl_context, server_hostname, shorter(timeout))
        return LimitedStream(secure)

    def get_extra_info(self, info: str) -> Any:
        """Return what httpcore's own stream knows of itself."""
        return self._stream.get_extra_info(info)


class LimitedConnector:
    """Makes the streams of one inner transport."""

    def __init__(self, connector: Any) -> None:
        """Stand before httpcore's own `NetworkBackend`."""
        self._connector = connector

    def connect_tcp(
        self, host: str, port: int, timeout: float | None = None, **options: Any
    ) -> LimitedStream:
        """Connect."""
        connect = self._connector.connect_tcp
        if is_limited():
            *others, host = addresses_of(host, port) or [host]
            for address in others:
                try:
                    stream = connect(address, port, timeout=shorter(timeout), **options)
                except Exception:  # noqa: BLE001 - the last one's error will tell
                    continue
                return LimitedStream(stream)
        return LimitedStream(connect(host, port, timeout=shorter(timeout), **options))

    def __getattr__(self, name: str) -> Any:
        """Be httpcore's own in all other respects."""
        return getattr(self._connector, name)


def limit_transport(transport: Any) -> None:
    """Have what a synchronous inner transport does keep to the limits of its threads.

    Args:
        transport: The client's own; any other is left alone.
    """
    pool: Any = getattr(transport, "_pool", None)
    connector = getattr(pool, "_network_backend", None)
    if callable(getattr(connector, "connect_tcp", None)) and not isinstance(
        connector, LimitedConnector
    ):
        pool._network_backend = LimitedConnector(connector)  # noqa: SLF001
