"""The request as a backend gets it, and the answer as its caller gets it.

The URL stays the logical one.
All that requests derives from it (cookies, redirects, what a mock sees) is then right
by itself, and only the choice of the connection knows better: see `routes`.

References:
    urllib.parse, `urlsplit`, on what is the authority of a URL.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from email.message import Message
from typing import Any
from urllib.parse import urlsplit

from requests import PreparedRequest
from requests.structures import CaseInsensitiveDict
from urllib3 import HTTPHeaderDict
from urllib3.util import Timeout

from lbtransport._target import Target
from lbtransport.load_balancer import LoadBalancer

_SHORTEST_ORIGIN = len("https://")  # the first slash after it ends the authority


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a logical URL points to.

    Attributes:
        scheme: Lower case.
        netloc: The authority as the caller wrote it, without userinfo.
        host: Without brackets.
        port: None for the scheme's own.
    """

    scheme: str
    netloc: str
    host: str
    port: int | None


def origin_of(url: str | None) -> Origin | None:
    """Return where a URL points to; None if nobody could say."""
    if url is None:
        return None
    end = url.find("/", _SHORTEST_ORIGIN)
    return _parse_origin(url if end < 0 else url[:end])


@functools.lru_cache(maxsize=1024)
def _parse_origin(beginning: str) -> Origin | None:
    try:
        parts = urlsplit(beginning)
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    if host is None:
        return None
    return Origin(parts.scheme, parts.netloc.rpartition("@")[2], host, port)


class WireRequest(PreparedRequest):
    """A copy of the caller's request with one backend's headers.

    Attributes:
        original: The caller's own.
        balancer: The service.
        target: The backend, and the names it is called by.
    """

    original: PreparedRequest
    balancer: LoadBalancer
    target: Target


def address(
    request: PreparedRequest, balancer: LoadBalancer, target: Target
) -> WireRequest:
    """Return a copy of a request for one backend; the original is not changed."""
    wire = WireRequest.__new__(WireRequest)
    # Not copy(), which copies the cookie jar too: only the headers will differ.
    wire.__dict__.update(request.__dict__)
    wire.original = request
    wire.balancer = balancer
    wire.target = target
    headers = CaseInsensitiveDict(request.headers)
    if "Host" not in headers:
        headers["Host"] = target.host
    headers.update(target.headers)
    wire.headers = headers
    return wire


def map_back(raw: Any, target: Target) -> None:
    """Map what a response says of its own place back to the logical URL.

    Args:
        raw: urllib3's response; its headers are changed in place.
        target: The backend that gave it.
    """
    headers = raw.headers
    for name in ("Location", "Content-Location"):
        if name in headers:
            headers[name] = target.map_location(headers[name])
    if not target.is_mapped or "Set-Cookie" not in headers:
        return
    cookies = [target.map_cookie(cookie) for cookie in headers.getlist("Set-Cookie")]
    # Cookie jars read http.client's headers, not urllib3's.
    message = getattr(getattr(raw, "_original_response", None), "msg", None)
    for fields in (headers, message):
        if isinstance(fields, (HTTPHeaderDict, Message)):
            del fields["Set-Cookie"]
            add = (
                fields.add if isinstance(fields, HTTPHeaderDict) else fields.add_header
            )
            for cookie in cookies:
                add("Set-Cookie", cookie)


def capped(timeout: Any, left: float | None) -> Any:
    """Return a ``timeout=`` argument that ends no later than in `left` seconds.

    Args:
        timeout: Whatever requests takes.
        left: Seconds until the deadline; None if there is none.
    """
    if left is None:
        return timeout
    if isinstance(timeout, Timeout):
        limited = timeout.clone()
        total = limited.total
        limited.total = min(total, left) if isinstance(total, (int, float)) else left
        return limited
    if not isinstance(timeout, tuple):
        timeout = (timeout, timeout)
    elif len(timeout) != 2:  # a pair, for connect and read
        return timeout  # requests has its own words for that
    # The total covers connecting and waiting together, as the deadline does.
    return Timeout(total=left, connect=timeout[0], read=timeout[1])


def read_timeout_of(timeout: Any) -> float | None:
    """Return how long a ``timeout=`` argument lets each read take, past the headers.

    Args:
        timeout: Whatever requests has taken.
    """
    if isinstance(timeout, Timeout):
        own = timeout.clone()
    else:
        pair = timeout if isinstance(timeout, tuple) else (timeout, timeout)
        own = Timeout(connect=pair[0], read=pair[1])
    own.start_connect()  # without which a total has no meaning
    return Timeout.resolve_default_timeout(own.read_timeout)
