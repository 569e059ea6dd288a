"""Connections for checks, under asyncio and under trio.

Not here: what is said over them (`_http_check`), and how long it may take (`_probes`).
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Protocol

from lbtransport._loops import running_trio
from lbtransport._types import Backend

_CHUNK = 65536  # bytes

_open: set[socket.socket] = set()


class Wire(Protocol):
    """A connection to a backend."""

    async def send(self, data: bytes) -> None:
        """Send all of `data`."""
        ...

    async def receive(self) -> bytes:
        """Return what comes next; empty if that is the end."""
        ...


@asynccontextmanager
async def connected(
    backend: Backend, context: ssl.SSLContext | None = None, name: str | None = None
) -> AsyncIterator[Wire]:
    """Connect to a backend, and close the connection when the block ends.

    Args:
        backend: Where to.
        context: For TLS; None for none.
        name: The name that the certificate must carry; None is the backend's own.
    """
    trio = running_trio()
    # Closed at once, without the last words of TLS: a check has heard what it wanted,
    # and whoever hangs must not hold us up once more.
    if trio is None and context is None and backend.is_address:
        # Half of what a stream costs, and fleets are mostly this.
        with socket.socket(_family(backend), socket.SOCK_STREAM) as plain:
            plain.setblocking(False)
            loop = asyncio.get_running_loop()
            _open.add(plain)
            try:
                await loop.sock_connect(plain, (backend.hostname, backend.port))
                yield _AsyncioSocket(plain, loop)
            finally:
                _open.discard(plain)
        return
    if trio is None:
        reader, writer = await asyncio.open_connection(
            backend.hostname,
            backend.port,
            ssl=context,
            server_hostname=None if context is None else name or backend.hostname,
        )
        try:
            yield _AsyncioStream(reader, writer)
        finally:
            writer.transport.abort()
            await asyncio.sleep(0)  # the loop closes it in its next round
        return
    stream = await trio.open_tcp_stream(backend.hostname, backend.port)
    try:
        if context is not None:
            stream = trio.SSLStream(
                stream, context, server_hostname=name or backend.hostname
            )
            await stream.do_handshake()
        yield _TrioStream(stream)
    except trio.BrokenResourceError as error:  # trio's word for what the system said
        raise error.__cause__ or ConnectionResetError from error
    finally:
        await trio.aclose_forcefully(stream)


def close_inherited() -> None:
    """Close, in the child of a fork, what the parent's loop has open."""
    while _open:
        _open.pop().close()


def _family(backend: Backend) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in backend.hostname else socket.AF_INET


class _AsyncioSocket:
    def __init__(self, plain: socket.socket, loop: asyncio.AbstractEventLoop) -> None:
        self._plain = plain
        self._loop = loop

    async def send(self, data: bytes) -> None:
        await self._loop.sock_sendall(self._plain, data)

    async def receive(self) -> bytes:
        return await self._loop.sock_recv(self._plain, _CHUNK)


class _AsyncioStream:
    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._reader = reader
        self._writer = writer

    async def send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def receive(self) -> bytes:
        return await self._reader.read(_CHUNK)


class _TrioStream:
    def __init__(self, stream: Any) -> None:
        self._stream = stream

    async def send(self, data: bytes) -> None:
        await self._stream.send_all(data)

    async def receive(self) -> bytes:
        received: bytes = await self._stream.receive_some(_CHUNK)
        return received
