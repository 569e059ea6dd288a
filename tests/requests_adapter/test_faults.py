"""Each way in which a request can fail, next to requests itself.

The caller's error is the one that requests raises, and only what a backend did speaks
against its health.

Not here: what is repeated (`test_retries`), and the stages that requests cannot tell
apart (`test_stages`).
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests
from requests import exceptions

from lbtransport import options
from tests.certificates import Authority
from tests.conftest import ServerStarter
from tests.requests_adapter.conftest import Balance
from tests.requests_adapter.kit import FULL, orders_at, outcomes_of
from tests.servers import (
    Fate,
    LoopbackServer,
    Reply,
    close_without_answer,
    garbage,
    hang,
    hold_hanging_port,
    reply,
    reset,
    truncated_body,
    truncated_chunk,
    truncated_headers,
)

LARGE = b"x" * 20_000_000  # more than all buffers in between take
BRIEF = 0.2  # seconds; what waits for it, waits in vain


@dataclass(frozen=True)
class Loopback:
    """What a backend can be made of."""

    start: ServerStarter
    authority: Authority
    ca_file: Path
    stack: contextlib.ExitStack

    def tls(self, *names: str, **given: Any) -> LoopbackServer:
        context = self.authority.server_context(*names)
        return self.start(ssl_context=context, **given)

    def refuses(self) -> str:
        server = self.start()
        server.kill()
        return server.url

    def never_accepts(self) -> str:
        """Listen with a queue that is full."""
        port = self.stack.enter_context(hold_hanging_port())
        return f"http://127.0.0.1:{port}"


@pytest.fixture
def loopback(
    start_server: ServerStarter, authority: Authority, ca_file: Path
) -> Iterator[Loopback]:
    with contextlib.ExitStack() as stack:
        yield Loopback(start_server, authority, ca_file, stack)


@dataclass(frozen=True)
class Case:
    """One way to fail.

    Attributes:
        backend: Makes one; returns its URL.
        raises: What requests raises; None if it notices nothing.
        blames: Whether it speaks against the backend's health.
        sent: What is requested, as `requests.Session.request` takes it.
    """

    backend: Callable[[Loopback], str]
    raises: type[Exception] | None
    blames: bool = True
    sent: dict[str, Any] = field(default_factory=dict)


def _answers(handler: Any, **given: Any) -> Callable[[Loopback], str]:
    return lambda loopback: loopback.start(handler, **given).url


def _raise(error: Exception) -> Callable[[], Iterator[bytes]]:
    def body() -> Iterator[bytes]:
        yield b"part"
        raise error

    return body


CLOSES_AT_ONCE = _answers(None, on_accept=lambda _: Fate.CLOSE)
RESETS_AT_ONCE = _answers(None, on_accept=lambda _: Fate.RESET)
NEVER_READS = _answers(None, on_accept=lambda _: Fate.HANG)
UPLOAD = {"method": "PUT", "data": LARGE}

CASES = {
    # Before anything was sent
    "refused": Case(Loopback.refuses, requests.ConnectionError),
    "connecting hangs": Case(
        Loopback.never_accepts,
        requests.ConnectTimeout,
        sent={"timeout": BRIEF},
    ),
    "untrusted authority": Case(
        lambda loopback: loopback.tls("orders", "127.0.0.1").url,
        exceptions.SSLError,
        sent={"verify": True},
    ),
    "certificate for another": Case(
        lambda loopback: loopback.tls("other.example").url, exceptions.SSLError
    ),
    "closed in the handshake": Case(
        lambda loopback: loopback.tls("orders", on_accept=lambda _: Fate.CLOSE).url,
        exceptions.SSLError,
    ),
    "no TLS where it is expected": Case(
        lambda loopback: loopback.tls("orders").url.replace("https", "http"),
        requests.ConnectionError,
    ),
    # Perhaps sent, perhaps processed
    "closed at once": Case(CLOSES_AT_ONCE, requests.ConnectionError),
    "reset at once": Case(RESETS_AT_ONCE, requests.ConnectionError),
    "closed at once, large": Case(
        CLOSES_AT_ONCE, requests.ConnectionError, sent=UPLOAD
    ),
    "reset at once, large": Case(RESETS_AT_ONCE, requests.ConnectionError, sent=UPLOAD),
    "closed after reading": Case(
        _answers(close_without_answer), requests.ConnectionError
    ),
    "reset after reading": Case(_answers(reset), requests.ConnectionError),
    "upload, never read": Case(
        NEVER_READS, requests.ConnectionError, sent={**UPLOAD, "timeout": (BRIEF, 60)}
    ),
    "never answers": Case(
        _answers(hang), requests.ReadTimeout, sent={"timeout": (60, BRIEF)}
    ),
    "no HTTP": Case(_answers(garbage), requests.ConnectionError),
    "half of the headers": Case(_answers(truncated_headers), None, blames=False),
    # While the body is read
    "half a body": Case(_answers(truncated_body), exceptions.ChunkedEncodingError),
    "half a chunk": Case(_answers(truncated_chunk), exceptions.ChunkedEncodingError),
    "closed between chunks": Case(
        _answers(lambda _: Reply(body=[b"four", Fate.CLOSE])),
        exceptions.ChunkedEncodingError,
    ),
    "no chunk": Case(
        _answers(
            lambda _: [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n"]
        ),
        exceptions.ChunkedEncodingError,
    ),
    "reset in the body": Case(
        _answers(lambda _: Reply(body=[b"four", Fate.RESET])),
        exceptions.ChunkedEncodingError,
    ),
    "stall in the body": Case(
        _answers(lambda _: Reply(body=[b"four", Fate.HANG])),
        requests.ConnectionError,
        sent={"timeout": (60, BRIEF)},
    ),
    "no gzip": Case(
        _answers(reply(body=FULL, headers=[("Content-Encoding", "gzip")])),
        exceptions.ContentDecodingError,
        blames=False,
    ),
    # The caller's own doing
    "no such bundle": Case(
        lambda loopback: loopback.tls("orders", "127.0.0.1").url,
        OSError,
        blames=False,
        sent={"verify": "/there/is/no/such.pem"},
    ),
    "body raises OSError": Case(
        _answers(None),
        requests.ConnectionError,
        blames=False,
        sent={"method": "PUT", "data": _raise(OSError("disk"))},
    ),
    "body raises ValueError": Case(
        _answers(None),
        ValueError,
        blames=False,
        sent={"method": "PUT", "data": _raise(ValueError("mine"))},
    ),
    "no header": Case(
        _answers(None),
        exceptions.InvalidHeader,
        blames=False,
        sent={"headers": {"X-Bad": "a\nb"}},
    ),
}


def _failure_of(session: requests.Session, url: str, sent: dict[str, Any]) -> Any:
    """Return the error of a request, or its body if it has none."""
    given = {"method": "GET", **sent}
    if callable(given.get("data")):
        given["data"] = given["data"]()
    try:
        return session.request(url=url, **given).content
    except Exception as error:  # noqa: BLE001 - it is compared
        return error


@pytest.mark.parametrize("name", CASES)
def test_a_failure_is_the_one_of_requests_itself(
    balance: Balance, loopback: Loopback, name: str
) -> None:
    case = CASES[name]
    if case.backend is Loopback.never_accepts and sys.platform != "linux":
        pytest.skip("other systems refuse what does not fit into the queue")
    url = case.backend(loopback)
    service = orders_at(url)
    client = balance(service)
    sent = {"verify": str(loopback.ca_file), **case.sent}

    with requests.Session() as bare, options(retry=False):
        expected = _failure_of(bare, url, sent)
        failure = _failure_of(client.session, "http://orders/", sent)

    if case.raises is None:
        assert failure == expected == b""
    else:
        assert type(failure) is type(expected) is case.raises
    selected, failures, in_flight = outcomes_of(service)
    assert failures == case.blames
    assert in_flight == 0
    assert selected == (name != "no header")  # refused before it gets to any adapter
