"""What an HTTP check sends, and what an answer says, as functions of bytes.

The answer is parsed by the standard library's `http.client`, which reads from anything
that is like a file: so also from bytes that were read without blocking a thread.
A parser of httpx's would be a dependency of the core's, and one of our own a mistake.

Not here: connections and time (`_probes`).
"""

from __future__ import annotations

import http.client
import io
import re
from http import HTTPStatus
from typing import Any

from lbtransport._types import Backend
from lbtransport._upkeep import CheckFailed
from lbtransport.checks import HttpCheck

_HEAD_ENDS = re.compile(rb"\n\r?\n")
_LONGEST_HEAD = 65536  # bytes, as `http.client` has it for a line


def request_of(check: HttpCheck, backend: Backend, host: str) -> bytes:
    """Return the bytes of the request that checks a backend."""
    lines = {"host": f"Host: {host}", "user-agent": "User-Agent: lbtransport"}
    lines["accept"] = "Accept: */*"
    if check.method in {"POST", "PUT", "PATCH"}:  # RFC 9110, 8.6
        lines["content-length"] = "Content-Length: 0"
    for headers in (check.headers, backend.headers):
        for name, value in (headers or {}).items():
            lines[name.lower()] = f"{name}: {value}"
    lines["connection"] = "Connection: close"
    lines["accept-encoding"] = "Accept-Encoding: identity"  # the body is looked at
    first = f"{check.method} {backend.path}{check.path} HTTP/1.1"
    return "\r\n".join([first, *lines.values(), "", ""]).encode("ascii")


def is_answered(check: HttpCheck, received: bytes, is_all: bool) -> bool:
    """Tell whether what came so far is an answer of a backend that is well.

    Args:
        check: What to look for.
        received: All bytes that came so far.
        is_all: Whether no more will come.

    Returns:
        True if it is; False if more must come before anybody can tell.

    Raises:
        CheckFailed: If it is the answer of one that is not well.
        http.client.HTTPException: If it is no answer.
    """
    start = 0
    while (head := _HEAD_ENDS.search(received, start)) is not None:
        answer = received[start:]
        if check.body is None:
            # Without a body to be read its headers say nothing, and to parse them
            # takes longer than all the rest.
            answer = answer[: answer.index(b"\n") + 1] + b"\r\n"
        wire: Any = _Received(answer)  # of a socket it asks the file alone
        response = http.client.HTTPResponse(wire, method=check.method)
        response.begin()
        if response.status >= HTTPStatus.OK:
            return _is_well(check, response, is_all=is_all)
        start = head.end()  # 103, for one: the answer itself follows
    if is_all or len(received) > _LONGEST_HEAD:
        raise CheckFailed("malformed answer" if received else "no answer")
    return False


def _is_well(
    check: HttpCheck, response: http.client.HTTPResponse, *, is_all: bool
) -> bool:
    if response.status not in check.statuses:
        raise CheckFailed(f"status {response.status}")
    if check.body is None:
        return True
    try:
        body = response.read(check.body_limit)
        # Chunks that end too soon raise; a length counts down, without a word.
        is_at_end = response.chunked or response.length == 0
        is_whole = is_at_end or len(body) == check.body_limit or is_all
    except http.client.IncompleteRead as error:
        body, is_whole = error.partial, is_all
    if re.search(check.body, body.decode(errors="replace")):
        return True
    if is_whole:
        raise CheckFailed("body does not match")
    return False


class _Received:
    """Stands in for a socket of which all has been read."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def makefile(self, mode: str) -> io.BytesIO:
        return io.BytesIO(self._data)
