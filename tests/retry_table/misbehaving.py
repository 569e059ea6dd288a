"""The first servers of the table: real ones, each with a vice of its own."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from tests.certificates import Authority
from tests.servers import (
    Answer,
    Fate,
    Handler,
    LoopbackServer,
    Reply,
    Request,
    close_without_answer,
    garbage,
    hang,
    hold_refused_port,
    reply,
    reset,
    truncated_body,
    truncated_chunk,
    truncated_headers,
)

SHORT = 0.5  # seconds
UNKNOWN_NAME = "nobody-knows.test"


@dataclass(frozen=True)
class Vice:
    """What a server does wrong, and what it takes to see it.

    Attributes:
        handler: Answers what was read.
        options: More for `LoopbackServer`.
        certified: Speaks TLS: by which authority, for which name.
        scheme: How it is called; None if as it speaks.
        patience: Seconds after which the client gives up waiting, where it has to.
        is_kept: Whether it shows on a connection that served before.
        is_large: Whether it shows only where the body is larger than any buffer.
    """

    handler: Handler | None = None
    options: dict[str, Any] = field(default_factory=dict)
    certified: Callable[[Authority], tuple[Authority, str]] | None = None
    scheme: str | None = None
    patience: float | None = None
    is_kept: bool = False
    is_large: bool = False


def _on_accept(fate: Fate) -> dict[str, Any]:
    return {"on_accept": lambda _: fate}


def _close_when_idle(_: Request) -> Answer:
    return Reply(body=b"first", then=Fate.CLOSE)


def _later(handler: Handler) -> Handler:
    """Answer what opens a connection, and the rest by `handler`."""
    return lambda request: (
        Reply(body=b"first") if request.target == "/" else handler(request)
    )


def _reset_in_body(_: Request) -> Answer:
    return [b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfour", Fate.RESET]


def _stall_in_body(_: Request) -> Answer:
    return [b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfour", Fate.HANG]


def _answers(status: int, *headers: tuple[str, str]) -> Vice:
    return Vice(reply(status, b"first", headers=headers))


@cache
def _stranger() -> Authority:
    return Authority()


LATER = ("Retry-After", "30")
VICES = {
    "is certified by nobody we know": Vice(certified=lambda _: (_stranger(), "orders")),
    "is certified for another name": Vice(certified=lambda ours: (ours, "other")),
    "closes in the handshake": Vice(options=_on_accept(Fate.CLOSE), scheme="https"),
    "hangs in the handshake": Vice(
        options=_on_accept(Fate.HANG), scheme="https", patience=SHORT
    ),
    "speaks TLS, and we do not": Vice(
        certified=lambda ours: (ours, "orders"), scheme="http"
    ),
    "closes before it reads": Vice(options=_on_accept(Fate.CLOSE)),
    "closes before it reads it all": Vice(
        options=_on_accept(Fate.CLOSE), is_large=True
    ),
    "never reads it all": Vice(
        options=_on_accept(Fate.HANG), is_large=True, patience=4 * SHORT
    ),
    "reads and closes": Vice(close_without_answer),
    "reads and resets": Vice(reset),
    "reads and never answers": Vice(hang, patience=SHORT),
    "closed a connection that we kept": Vice(_close_when_idle, is_kept=True),
    "closes one just as we use it": Vice(_later(close_without_answer), is_kept=True),
    "resets one just as we use it": Vice(_later(reset), is_kept=True),
    "answers with garbage": Vice(garbage),
    "closes in its headers": Vice(truncated_headers),
    "closes in its body": Vice(truncated_body),
    "closes in a chunk": Vice(truncated_chunk),
    "resets in its body": Vice(_reset_in_body),
    "stalls in its body": Vice(_stall_in_body, patience=SHORT),
    "sends what cannot be decoded": Vice(
        reply(body=b"no gzip", headers=[("Content-Encoding", "gzip")])
    ),
    "resets before it reads it all": Vice(options={"on_headers": reset}),
    "answers 413 before it reads all": Vice(
        options={"on_headers": reply(413, b"first")}
    ),
    "answers 404": _answers(404),
    "answers 429": _answers(429),
    "answers 429 with Retry-After": _answers(429, LATER),
    "answers 500": _answers(500),
    "answers 501": _answers(501),
    "answers 502": _answers(502),
    "answers 503": _answers(503),
    "answers 503 with Retry-After": _answers(503, LATER),
    "answers 504": _answers(504),
}
# Those where nobody listens at all.
NOBODY = {
    "refuses connections": Vice(),
    "has a name that nobody knows": Vice(),
    "never accepts": Vice(patience=SHORT),
}


@dataclass(frozen=True)
class First:
    """The first server of a line.

    Attributes:
        url: Where its backend is.
        vice: What it does.
        server: None if nobody listens.
    """

    url: str
    vice: Vice
    server: LoopbackServer | None = None

    @property
    def reads_all(self) -> bool:
        """Whether it reads what it answers, with its body."""
        return "on_headers" not in self.vice.options

    def wait_for_idle(self) -> None:
        """Wait until it has closed the connection that a client keeps, if it will."""
        if self.server is not None and self.vice.handler is _close_when_idle:
            self.server.wait_until(lambda server: server.open_connections == 0)

    def requests(self, target: str) -> list[Request]:
        """Return those for `target` that it read to their end."""
        if self.server is None:
            return []
        return [one for one in self.server.requests if one.target == target]


@contextlib.contextmanager
def misbehaving(what: str, authority: Authority) -> Iterator[First]:
    """Run the first server of a line; `authority` is whom clients trust."""
    with contextlib.ExitStack() as stack:
        if what in NOBODY:
            yield First(_nobody(what, stack), NOBODY[what])
            return
        vice = VICES[what]
        context = None
        if vice.certified is not None:
            signer, name = vice.certified(authority)
            context = signer.server_context(name)
        server = stack.enter_context(
            LoopbackServer(vice.handler, ssl_context=context, **vice.options)
        )
        scheme = vice.scheme or server.url.partition(":")[0]
        yield First(f"{scheme}://{server.authority}", vice, server)


def _nobody(what: str, stack: contextlib.ExitStack) -> str:
    if what == "has a name that nobody knows":
        return f"http://{UNKNOWN_NAME}"
    held = stack.enter_context(hold_refused_port())
    host, port = held.getsockname()
    if what == "never accepts":
        held.listen(0)
        for _ in range(4):  # its queue is full, so nobody gets in
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex((host, port))
    return f"http://{host}:{port}"
