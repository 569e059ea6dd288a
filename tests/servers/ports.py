"""Ports and endings: what the socket module makes hard to get right."""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Iterator


def hold_refused_port(host: str = "127.0.0.1", port: int = 0) -> socket.socket:
    """Bind a port on which nobody listens, so that connecting to it is refused.

    For as long as the socket is open nobody else is given the port, by chance or by
    choice; the caller closes it.
    """
    held = bind(host, port)
    # Whoever binds "any free port" with this option set could be given one whose owner
    # has set it as well, and does not listen.
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
    return held


def bind(host: str, port: int) -> socket.socket:
    """Bind `port`, also right after the death of who had it; 0 takes a free one."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        if port:
            # Connections of the last life may still be in TIME_WAIT.
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
    except OSError:
        bound.close()
        raise
    return bound


def linger_not(connection: socket.socket) -> None:
    """Let closing it send a RST instead of a FIN."""
    with contextlib.suppress(OSError):
        connection.setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
        )


def shut_down(connection: socket.socket, how: int) -> None:
    """Shut it down, unless it is down already."""
    # Not the method of an SSLSocket: that one drops its TLS state under its reader.
    with contextlib.suppress(OSError):
        socket.socket.shutdown(connection, how)


def cut(connection: socket.socket) -> None:
    """Wake whoever reads or writes on it, and let it be reset when they close it."""
    linger_not(connection)
    shut_down(connection, socket.SHUT_RDWR)


@contextlib.contextmanager
def hold_hanging_port(host: str = "127.0.0.1") -> Iterator[int]:
    """Give a port whose queue is full, so that nobody gets in, and nobody is refused.

    Only Linux lets those wait who find it full.
    """
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind((host, 0))
        listener.listen(0)
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]
