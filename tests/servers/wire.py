"""One connection of a server: HTTP/1.1's framing, and a watch on what ends it.

Not here: which answer is sent. The handler decides, and `LoopbackServer` asks it.
"""

from __future__ import annotations

import http
import select
import socket
import threading
from collections.abc import Iterable, Iterator
from typing import NoReturn

from tests.servers.messages import Answer, Fate, Headers, Piece, Reply
from tests.servers.ports import linger_not, shut_down

_TICK = 0.01  # seconds between two looks at whether a held-up server was killed
_NO_BODY = frozenset({204, 304})


class Over(Exception):  # noqa: N818 - not an error
    """Not an error: the connection is at its end, and how."""

    def __init__(self, fate: Fate) -> None:
        super().__init__(fate)
        self.fate = fate


class Wire:
    """One connection: HTTP's framing, both ways, and a watch on `kill`."""

    def __init__(self, connection: socket.socket, killed: threading.Event) -> None:
        self.connection = connection
        self.killed = killed
        self._received = b""

    # Receiving

    def read_head(self) -> tuple[str, Headers]:
        """Read a request's first line and headers."""
        head = self._read_to(b"\r\n\r\n").decode("latin-1")
        line, *fields = head.split("\r\n")
        pairs = [field.split(":", 1) for field in fields]
        return line, Headers((name, value.strip()) for name, value in pairs)

    def read_body(self, headers: Headers) -> bytes:
        """Read a request's body to its end."""
        if "chunked" in (headers.get("Transfer-Encoding") or ""):
            return b"".join(self._read_chunks())
        return self._read_exactly(int(headers.get("Content-Length") or 0))

    def _read_chunks(self) -> Iterator[bytes]:
        while size := int(self._read_to(b"\r\n").partition(b";")[0], 16):
            yield self._read_exactly(size)
            self._read_exactly(2)
        while self._read_to(b"\r\n"):
            pass  # trailers

    def _read_to(self, end: bytes) -> bytes:
        while end not in self._received:
            self._received += self.receive()
        found, _, self._received = self._received.partition(end)
        return found

    def _read_exactly(self, size: int) -> bytes:
        pieces, left = [self._received], size - len(self._received)
        while left > 0:
            pieces.append(self.receive())
            left -= len(pieces[-1])
        whole = b"".join(pieces)
        self._received = whole[size:]
        return whole[:size]

    def receive(self) -> bytes:
        """Return what comes next.

        Raises:
            Over: If the client has gone, or the server was killed.
        """
        try:
            data = self.connection.recv(65536)
        except OSError as error:
            raise Over(Fate.RESET) from error
        if not data:
            raise Over(Fate.CLOSE)
        return data

    # Sending

    def send_answer(self, answer: Answer, method: str) -> None:
        """Send what a handler gave.

        Raises:
            Over: If the connection is not to be used again.
        """
        if isinstance(answer, Fate):
            self.meet(answer)
        elif isinstance(answer, Reply):
            self._send_reply(answer, method)
        else:
            self._send_pieces(answer)
            raise Over(Fate.CLOSE)

    def _send_reply(self, reply: Reply, method: str) -> None:
        headers = list(reply.headers)
        names = {name.lower() for name, _ in headers}
        is_framed = not names.isdisjoint({"content-length", "transfer-encoding"})
        has_body = method != "HEAD" and reply.status not in _NO_BODY
        in_chunks = False
        if isinstance(reply.body, bytes):
            if not is_framed and reply.status not in _NO_BODY:
                headers.append(("Content-Length", str(len(reply.body))))
            # One write, so that a small answer is one segment.
            self.send(_head(reply.status, headers) + (reply.body if has_body else b""))
        else:
            in_chunks = not is_framed and reply.status not in _NO_BODY
            if in_chunks:
                headers.append(("Transfer-Encoding", "chunked"))
            self.send(_head(reply.status, headers))
            if has_body:
                self._send_pieces(reply.body, in_chunks=in_chunks)
        if reply.then is not None:
            self.meet(reply.then)
        if says_close(Headers(headers)):
            raise Over(Fate.CLOSE)

    def _send_pieces(self, pieces: Iterable[Piece], *, in_chunks: bool = False) -> None:
        for piece in pieces:
            if isinstance(piece, Fate):
                self.meet(piece)
            elif isinstance(piece, threading.Event):
                self._wait(piece)
            elif not in_chunks:
                self.send(piece)
            elif piece:  # an empty chunk would be the last one
                self.send(b"%x\r\n%b\r\n" % (len(piece), piece))
        if in_chunks:
            self.send(b"0\r\n\r\n")

    def send(self, data: bytes) -> None:
        """Send bytes as they are.

        Raises:
            Over: If the client has gone, or the server was killed.
        """
        try:
            self.connection.sendall(data)
        except OSError as error:  # the client has gone, or the server was killed
            raise Over(Fate.RESET) from error

    # Ending

    def meet(self, fate: Fate) -> NoReturn:
        """End the connection, by and by.

        Raises:
            Over: Always.
        """
        if fate is Fate.HANG:
            self._wait(threading.Event())
        raise Over(fate)

    def part(self, fate: Fate) -> None:
        """Let the last thing that the client sees be a FIN or a RST."""
        if fate is Fate.RESET:
            linger_not(self.connection)
        else:
            shut_down(self.connection, socket.SHUT_WR)

    def _wait(self, event: threading.Event) -> None:
        while not event.wait(_TICK):
            if self.killed.is_set() or self._client_has_gone():
                raise Over(Fate.RESET)

    def _client_has_gone(self) -> bool:
        # Not by reading: what it sent before it went may be unread.
        gone = select.POLLHUP | getattr(select, "POLLRDHUP", 0)
        poll = select.poll()
        poll.register(self.connection, gone)
        return bool(poll.poll(0))


def _head(status: int, headers: Iterable[tuple[str, str]]) -> bytes:
    try:
        reason = http.HTTPStatus(status).phrase
    except ValueError:
        reason = "Unknown"
    fields = "".join(f"{name}: {value}\r\n" for name, value in headers)
    return f"HTTP/1.1 {status} {reason}\r\n{fields}\r\n".encode("latin-1")


def says_close(headers: Headers) -> bool:
    """Tell whether these headers end the connection."""
    return "close" in (headers.get("Connection") or "").lower()
