"""Questions to backends over connections of their own, under asyncio and under trio.

Not here: what is asked (`_http_check`), and how long it may take (`_probes`).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

from lbtransport._loops import running_trio
from lbtransport._types import Backend

_CHUNK = 65536  # bytes

_open: set[socket.socket] = set()

IsAnswered: TypeAlias = Callable[[bytes, bool], bool]
"""Is told all that came so far, and whether no more will; says whether it is enough."""


async def ask(
    backend: Backend,
    request: bytes,
    is_answered: IsAnswered,
    context: ssl.SSLContext | None = None,
    name: str | None = None,
) -> None:
    """Connect to a backend, send `request`, and return when that is answered.

    Args:
        backend: Where to.
        request: What to send.
        is_answered: Looks at what came, at first at nothing; what it raises is raised.
        context: For TLS; None for none.
        name: The name that the certificate must carry; None is the backend's own.
    """
    # Closed at once, without the last words of TLS: a check has heard what it wanted,
    # and whoever hangs must not hold us up once more.
    if running_trio() is not None:
        await _ask_in_trio(backend, request, is_answered, context, name)
    elif context is None and backend.is_address and _can_watch_sockets():
        # A fraction of what a stream costs, and fleets are mostly this.
        await _Question(backend, request, is_answered).ask()
    else:
        await _ask_by_stream(backend, request, is_answered, context, name)


def _can_watch_sockets() -> bool:
    """Tell whether the loop does; that of Windows which has pipes does not."""
    watch = type(asyncio.get_running_loop()).add_writer
    return watch is not asyncio.AbstractEventLoop.add_writer


class _Question:
    """A question over a plain socket, under asyncio.

    The loop itself goes on with it whenever the socket is ready, and the task that
    asked wakes once, when it is over: to wake it costs more than what is to be done.
    """

    def __init__(
        self, backend: Backend, request: bytes, is_answered: IsAnswered
    ) -> None:
        self._backend = backend
        self._rest = request
        self._is_answered = is_answered
        self._received = b""
        self._loop = asyncio.get_running_loop()
        self._end: asyncio.Future[None] = self._loop.create_future()
        self._ignore = self._loop.remove_writer

    async def ask(self) -> None:
        """Connect, and wait until it is answered."""
        host, port = self._backend.hostname, self._backend.port
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as plain:
            plain.setblocking(False)
            _open.add(plain)
            # By its number: a selector words errors, which nobody sees, with the
            # socket's names, and these are calls of the system.
            self._number = plain.fileno()
            try:
                with contextlib.suppress(BlockingIOError):
                    plain.connect((host, port))
                self._loop.add_writer(self._number, self._step, self._send, plain)
                await self._end
            finally:
                self._ignore(self._number)
                _open.discard(plain)

    def _step(
        self, step: Callable[[socket.socket], None], plain: socket.socket
    ) -> None:
        """Go on, in the loop."""
        if self._end.done():  # cancelled in this very round of the loop
            return
        try:
            step(plain)
        except BlockingIOError:  # it was not ready after all
            return
        except Exception as error:  # noqa: BLE001 - whoever asked hears of it
            self._end.set_exception(error)

    def _send(self, plain: socket.socket) -> None:
        error = plain.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error:
            raise OSError(error, os.strerror(error))
        self._rest = self._rest[plain.send(self._rest) :] if self._rest else b""
        if not self._rest:
            self._look(is_all=False)
            self._loop.remove_writer(self._number)
            self._loop.add_reader(self._number, self._step, self._receive, plain)
            self._ignore = self._loop.remove_reader

    def _receive(self, plain: socket.socket) -> None:
        piece = plain.recv(_CHUNK)
        self._received += piece
        self._look(is_all=not piece)

    def _look(self, *, is_all: bool) -> None:
        if self._is_answered(self._received, is_all):
            self._end.set_result(None)


async def _ask_by_stream(
    backend: Backend,
    request: bytes,
    is_answered: IsAnswered,
    context: ssl.SSLContext | None,
    name: str | None,
) -> None:
    reader, writer = await asyncio.open_connection(
        backend.hostname,
        backend.port,
        ssl=context,
        server_hostname=None if context is None else name or backend.hostname,
    )
    try:
        writer.write(request)
        await _hear(lambda: reader.read(_CHUNK), is_answered)
    finally:
        writer.transport.abort()
        await asyncio.sleep(0)  # the loop closes it in its next round


async def _ask_in_trio(
    backend: Backend,
    request: bytes,
    is_answered: IsAnswered,
    context: ssl.SSLContext | None,
    name: str | None,
) -> None:
    trio = running_trio()
    stream: Any = await trio.open_tcp_stream(backend.hostname, backend.port)
    try:
        if context is not None:
            stream = trio.SSLStream(
                stream, context, server_hostname=name or backend.hostname
            )
            await stream.do_handshake()
        await stream.send_all(request)
        await _hear(lambda: stream.receive_some(_CHUNK), is_answered)
    except trio.BrokenResourceError as error:  # trio's word for what the system said
        raise error.__cause__ or ConnectionResetError from error
    finally:
        await trio.aclose_forcefully(stream)


async def _hear(
    receive: Callable[[], Awaitable[bytes]], is_answered: IsAnswered
) -> None:
    """Receive until that is an answer; nothing, if nothing at all need come."""
    received = b""
    is_all = False
    while not is_answered(received, is_all):
        piece = await receive()
        received += piece
        is_all = not piece


def close_inherited() -> None:
    """Close, in the child of a fork, what the parent's loop has open."""
    while _open:
        _open.pop().close()
