"""A real HTTP/1.1 server on loopback, whose every byte a test decides.

It answers what its handler says, keeps what it received, and can be killed and
restarted on its port at any moment, so a test sees what a client does with real bytes,
real connections and real failures.
Nothing waits for time: what is to come later waits for a `threading.Event`.

Not a correct web server: it checks nothing that a client sends, beyond what it takes to
find the end of a request, and it sends whatever nonsense it is told to.

A handler gets a `Request` and gives one of these:

    Reply                an answer in good form; its body may come in pieces
    iterable of pieces   raw bytes as they are; the connection closes at their end
    Fate                 what becomes of the connection, instead of an answer

and a piece is one of these:

    bytes                are sent; in a `Reply` as a chunk of their own
    threading.Event      holds up what follows until the test sets it
    Fate                 ends the connection here, in the middle
"""

from __future__ import annotations

from tests.servers.answers import (
    LATER,
    aging,
    close_without_answer,
    echo,
    garbage,
    hang,
    in_turn,
    reply,
    reset,
    reset_in_headers,
    truncated_body,
    truncated_chunk,
    truncated_headers,
)
from tests.servers.messages import Answer, Fate, Handler, Headers, Piece, Reply, Request
from tests.servers.ports import hold_hanging_port, hold_refused_port
from tests.servers.server import PATIENCE, LoopbackServer

__all__ = [
    "LATER",
    "PATIENCE",
    "Answer",
    "Fate",
    "Handler",
    "Headers",
    "LoopbackServer",
    "Piece",
    "Reply",
    "Request",
    "aging",
    "close_without_answer",
    "echo",
    "garbage",
    "hang",
    "hold_hanging_port",
    "hold_refused_port",
    "in_turn",
    "reply",
    "reset",
    "reset_in_headers",
    "truncated_body",
    "truncated_chunk",
    "truncated_headers",
]
