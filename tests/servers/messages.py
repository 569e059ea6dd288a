"""What goes to a handler and what comes from it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum


class Fate(Enum):
    """What becomes of a connection."""

    CLOSE = "close"
    """Close it in good order (FIN), even if something is left to read."""
    RESET = "reset"
    """Reset it (RST)."""
    HANG = "hang"
    """Keep it open and silent until the client goes or the server is killed."""


class Headers:
    """Header fields in the order and spelling in which they came. Immutable."""

    def __init__(self, pairs: Iterable[tuple[str, str]]) -> None:
        self.pairs = tuple(pairs)

    def get_all(self, name: str) -> list[str]:
        """Return each value of `name`, whatever its case."""
        wanted = name.lower()
        return [value for name, value in self.pairs if name.lower() == wanted]

    def get(self, name: str) -> str | None:
        """Return the first value of `name`, whatever its case."""
        return next(iter(self.get_all(name)), None)

    def __getitem__(self, name: str) -> str:
        value = self.get(name)
        if value is None:
            raise KeyError(name)
        return value

    def __contains__(self, name: str) -> bool:
        return bool(self.get_all(name))

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self.pairs)

    def __repr__(self) -> str:
        return f"Headers({list(self.pairs)!r})"


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it came over the wire."""

    method: str
    target: str
    headers: Headers
    body: bytes
    """Without the framing of its chunks, if it came in chunks."""
    number: int
    """Counts the requests of this server, from 1, through restarts."""
    connection: int
    """Counts the connections of this server, from 1, through restarts."""
    server_name: str | None
    """What the client asked for in its TLS handshake (SNI)."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer in good form: the framing is added, unless `headers` hold one.

    A body in pieces is sent in chunks, each as soon as it is there.
    Where a reply answers several requests, its body must bear several iterations.
    """

    status: int = 200
    headers: Sequence[tuple[str, str]] = ()
    body: bytes | Iterable[bytes | threading.Event | Fate] = b""
    then: Fate | None = None
    """What becomes of the connection after it; None keeps it for the next request."""


Piece = bytes | threading.Event | Fate
Answer = Reply | Fate | Iterable[Piece]
Handler = Callable[[Request], Answer]
