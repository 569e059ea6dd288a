"""Handlers ready made: good answers and all kinds of bad ones."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence

from tests.servers.messages import Answer, Fate, Handler, Piece, Reply, Request


def reply(
    status: int = 200,
    body: bytes | Iterable[Piece] = b"",
    *,
    headers: Sequence[tuple[str, str]] = (),
) -> Handler:
    """Answer each request alike."""
    return lambda _: Reply(status, headers, body)


_NOON = "Fri, 31 Dec 2038 12:00:00 GMT"
_LATER = "Fri, 31 Dec 2038 12:00:20 GMT"
# The ways to say that it may be asked again in 20 seconds, whatever the time is.
LATER: dict[str, list[tuple[str, str]]] = {
    "seconds": [("Retry-After", "20")],
    "date": [("Date", _NOON), ("Retry-After", _LATER)],
    "milliseconds": [("retry-after-ms", "20000"), ("Retry-After", "1")],
    "twice": [("Retry-After", "20"), ("Retry-After", "1")],
    "dates": [("Date", _NOON), ("Retry-After", _NOON), ("Retry-After", _LATER)],
}


def in_turn(*handlers: Handler) -> Handler:
    """Answer each next request by the next handler, and by the last one ever after."""
    left = iter(handlers[:-1])
    lock = threading.Lock()

    def answer(request: Request) -> Answer:
        with lock:
            handler = next(left, handlers[-1])
        return handler(request)

    return answer


def aging(later: Handler) -> Handler:
    """Answer the first request of each connection, and all that follow by `later`."""
    seen: set[int] = set()

    def answer(request: Request) -> Answer:
        if request.connection in seen:
            return later(request)
        seen.add(request.connection)
        return Reply(body=b"first")

    return answer


def echo(request: Request) -> Answer:
    """Answer with the request's own body."""
    return Reply(body=request.body)


def close_without_answer(_: Request) -> Answer:
    """Read the request, then close: nobody can tell whether it was processed."""
    return Fate.CLOSE


def reset(_: Request) -> Answer:
    """Read the request, then reset the connection."""
    return Fate.RESET


def hang(_: Request) -> Answer:
    """Read the request, and never answer."""
    return Fate.HANG


def truncated_body(_: Request) -> Answer:
    """Promise ten bytes, send four, and close."""
    return [b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfour"]


def truncated_chunk(_: Request) -> Answer:
    """Close in the middle of a chunk."""
    return [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\na\r\nfour"]


def truncated_headers(_: Request) -> Answer:
    """Close in the middle of a header."""
    return [b"HTTP/1.1 200 OK\r\nContent-Le"]


def reset_in_headers(_: Request) -> Answer:
    """Reset the connection in the middle of a header."""
    return [b"HTTP/1.1 200 OK\r\nContent-Le", Fate.RESET]


def garbage(_: Request) -> Answer:
    """Answer with what is not HTTP."""
    return [b"\x15\x03\x01\x00\x02\x02\x50 this is not HTTP\r\n\r\n"]
