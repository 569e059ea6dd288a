"""Servers that never finish, and names that resolve as a test likes."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator

import pytest

from tests.servers import Request

_TICK = 0.01  # seconds, so that no single wait is long

KEEPS_HANGING = pytest.mark.skipif(
    sys.platform != "linux", reason="only Linux lets callers wait at a full queue"
)


def trickling_body(_: Request) -> Iterator[bytes]:
    """Send a byte of the body now and then."""
    yield b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"
    yield from drops()


def trickling_headers(_: Request) -> Iterator[bytes]:
    """Send a byte of a header now and then."""
    yield b"HTTP/1.1 200 OK\r\nX-Long: "
    yield from drops()


def trickling_chunk(_: Request) -> Iterator[bytes]:
    """Send a byte of a chunk now and then."""
    yield b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffff\r\n"
    yield from drops()


def trickle_until_close(_: Request) -> Iterator[bytes]:
    """Send a byte of a body now and then that ends with its connection."""
    yield b"HTTP/1.1 200 OK\r\n\r\n"
    yield from drops()


def drops() -> Iterator[bytes]:
    """Give a byte now and then, for longer than any test of a deadline may take."""
    for _ in range(1000):
        time.sleep(_TICK)
        yield b"x"
