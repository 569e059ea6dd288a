"""Stages: where an attempt stood when it failed.

The class of an error tells most of it: not connected, no connection to be had, sent.
It does not tell a backend that broke a new connection from one that had closed a kept
one, while it was idle and the request under way.
httpcore's connection knows, and the traceback of its error leads to it: read when
something failed, that costs the requests that succeed nothing.

The extension `trace`, which is made for this, is called ten times in each request
instead, and would have to be chained to the caller's own.

What is read is private to httpcore.
If it goes, no connection counts as kept, and whoever breaks one is blamed.

Not here: HTTP/2, where a connection that serves many requests at once is no older for
having served another; a server that ends one says GOAWAY (`_types.exceptions`).
"""

from __future__ import annotations

import traceback
from typing import Any

_CONNECTIONS = frozenset({"HTTP11Connection", "AsyncHTTP11Connection"})


def is_stale(error: BaseException) -> bool:
    """Tell whether a connection that had served before broke, without an answer.

    Args:
        error: The client's, that the attempt ended with.
    """
    connection = _connection_of(error)
    try:
        is_kept: bool = connection._request_count > 1  # noqa: SLF001 - see above
        received, _ = connection._h11_state.trailing_data  # noqa: SLF001 - see above
    except AttributeError:
        return False
    return is_kept and not received


def _connection_of(error: BaseException) -> Any:
    """Return httpcore's connection that an error came from; None if it is unknown."""
    cause = error.__cause__
    while cause is not None:
        for frame, _ in traceback.walk_tb(cause.__traceback__):
            owner = frame.f_locals.get("self")
            if type(owner).__name__ in _CONNECTIONS:
                return owner
        cause = cause.__cause__
    return None
