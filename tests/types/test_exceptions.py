"""The clients' real exceptions, nested as the clients nest them.

References:
    research/http-semantics.md, section 4: what each failure looked like on a real
    socket.
"""

from __future__ import annotations

import asyncio
import http.client
import io
import socket
import ssl
import urllib.error
from email.message import Message
from typing import Any, TypeVar

import httpcore
import httpx
import httpx2
import pytest
import requests
import urllib3.exceptions as u3
from urllib3 import HTTPConnectionPool
from urllib3.connection import HTTPConnection

from lbtransport import Outcome
from lbtransport._types import Fault, Repeat, Verdict
from lbtransport._types.exceptions import (
    fault_of_exception,
    is_caused_by,
    outcome_of_body_error,
    outcome_of_exception,
)

POOL = HTTPConnectionPool("10.0.0.1")
CONNECTION = HTTPConnection("10.0.0.1")
R = requests.exceptions
E = TypeVar("E", bound=BaseException)


def caused(error: E, *causes: BaseException) -> E:
    """Chain `causes` below `error`, as ``raise ... from`` does."""
    outer: BaseException = error
    for cause in causes:
        outer.__cause__ = cause
        outer = cause
    return error


def exhausted(reason: Exception) -> u3.MaxRetryError:
    return u3.MaxRetryError(POOL, "/", reason)


def aborted(*inner: BaseException) -> u3.ProtocolError:
    return u3.ProtocolError("Connection aborted.", *inner)


def wrong_certificate() -> ssl.SSLCertVerificationError:
    return ssl.SSLCertVerificationError(1, "certificate verify failed")


REFUSED = ConnectionRefusedError(111, "Connection refused")
RESET = ConnectionResetError(104, "Connection reset by peer")
UNKNOWN_NAME = socket.gaierror(-2, "Name or service not known")
NO_ANSWER = http.client.RemoteDisconnected(
    "Remote end closed connection without response"
)
NEW = u3.NewConnectionError(CONNECTION, "Failed to establish a new connection")
NO_FILES = OSError(24, "Too many open files")
NEW_WITHOUT_FILES = caused(u3.NewConnectionError(CONNECTION, "Failed"), NO_FILES)
UNRESOLVED = u3.NameResolutionError("h", CONNECTION, UNKNOWN_NAME)
SLOW_CONNECT = u3.ConnectTimeoutError(CONNECTION, "timed out")
SLOW_READ = u3.ReadTimeoutError(POOL, "/", "Read timed out.")

REQUESTS: list[tuple[str, BaseException, Fault | None]] = [
    ("refused", R.ConnectionError(exhausted(caused(NEW, REFUSED))), Fault.CONNECT),
    ("no such name", R.ConnectionError(exhausted(UNRESOLVED)), Fault.CONNECT),
    (
        "connect timeout",
        R.ConnectTimeout(exhausted(SLOW_CONNECT)),
        Fault.CONNECT_TIMEOUT,
    ),
    (
        "untrusted",
        R.SSLError(exhausted(u3.SSLError(wrong_certificate()))),
        Fault.CERTIFICATE,
    ),
    (
        "handshake cut",
        R.SSLError(exhausted(u3.SSLError(ssl.SSLEOFError(8, "EOF occurred")))),
        Fault.TLS,
    ),
    ("reset", R.ConnectionError(aborted(RESET)), Fault.DISCONNECT),
    ("no answer", R.ConnectionError(aborted(NO_ANSWER)), Fault.DISCONNECT),
    (
        "garbage",
        R.ConnectionError(aborted(http.client.BadStatusLine("garbage"))),
        Fault.MALFORMED,
    ),
    (
        "upload stalled",
        R.ConnectionError(aborted(TimeoutError("timed out"))),
        Fault.WRITE,
    ),
    ("read timeout", R.ReadTimeout(SLOW_READ), Fault.RESPONSE_TIMEOUT),
    ("some timeout", R.Timeout(), Fault.RESPONSE_TIMEOUT),
    (
        "cut body",
        R.ChunkedEncodingError(
            u3.ProtocolError("Connection broken", u3.IncompleteRead(5, 5))
        ),
        Fault.BODY,
    ),
    (
        "corrupt gzip",
        R.ContentDecodingError(u3.DecodeError("not gzip")),
        Fault.DECODING,
    ),
    (
        "proxy",
        R.ProxyError(exhausted(u3.ProxyError("Cannot connect to proxy", NEW))),
        Fault.PROXY,
    ),
    ("pool closed", R.ConnectionError(u3.ClosedPoolError(POOL, "closed")), Fault.POOL),
    ("out of files", R.ConnectionError(exhausted(NEW_WITHOUT_FILES)), Fault.POOL),
    ("bad url", R.InvalidURL("bad"), Fault.LOCAL),
    ("bad scheme", R.InvalidSchema("bad"), Fault.LOCAL),
    ("bad header", R.InvalidHeader("bad"), Fault.LOCAL),
    ("spent body", R.UnrewindableBodyError("spent"), Fault.LOCAL),
    ("redirects", R.TooManyRedirects("30"), Fault.LOCAL),
    ("bare", R.ConnectionError(), Fault.DISCONNECT),
]
URLLIB3: list[tuple[str, BaseException, Fault | None]] = [
    ("refused", caused(NEW, REFUSED), Fault.CONNECT),
    ("refused, retried", exhausted(NEW), Fault.CONNECT),
    ("connect timeout, retried", exhausted(SLOW_CONNECT), Fault.CONNECT_TIMEOUT),
    ("no answer, retried", exhausted(aborted(NO_ANSWER)), Fault.DISCONNECT),
    ("read timeout, retried", exhausted(SLOW_READ), Fault.RESPONSE_TIMEOUT),
    (
        "untrusted, retried",
        exhausted(u3.SSLError(wrong_certificate())),
        Fault.CERTIFICATE,
    ),
    ("no such name", UNRESOLVED, Fault.CONNECT),
    ("connect timeout", SLOW_CONNECT, Fault.CONNECT_TIMEOUT),
    ("read timeout", SLOW_READ, Fault.RESPONSE_TIMEOUT),
    ("pool exhausted", u3.EmptyPoolError(POOL, "no connection"), Fault.POOL),
    ("pool closed", u3.ClosedPoolError(POOL, "closed"), Fault.POOL),
    ("no answer", aborted(NO_ANSWER), Fault.DISCONNECT),
    ("garbage", aborted(http.client.BadStatusLine("garbage")), Fault.MALFORMED),
    ("handshake cut", u3.SSLError(ssl.SSLEOFError(8, "EOF")), Fault.TLS),
    ("bad url", u3.LocationParseError("bad"), None),
]
STDLIB: list[tuple[str, BaseException, Fault | None]] = [
    ("refused", REFUSED, Fault.CONNECT),
    ("no such name", UNKNOWN_NAME, Fault.CONNECT),
    ("urllib refused", urllib.error.URLError(REFUSED), Fault.CONNECT),
    ("reset", RESET, Fault.DISCONNECT),
    ("broken pipe", BrokenPipeError(32, "Broken pipe"), Fault.DISCONNECT),
    ("unreachable", OSError(113, "No route to host"), Fault.DISCONNECT),
    ("out of files", NO_FILES, Fault.POOL),
    ("machine out of files", OSError(23, "Too many open files in system"), Fault.POOL),
    ("no answer", NO_ANSWER, Fault.DISCONNECT),
    ("garbage", http.client.BadStatusLine("garbage"), Fault.MALFORMED),
    ("timeout", TimeoutError("timed out"), Fault.RESPONSE_TIMEOUT),
    ("socket timeout", socket.timeout("timed out"), Fault.RESPONSE_TIMEOUT),  # noqa: UP041
    ("asyncio timeout", asyncio.TimeoutError(), Fault.RESPONSE_TIMEOUT),  # noqa: UP041
    ("untrusted", wrong_certificate(), Fault.CERTIFICATE),
    ("handshake cut", ssl.SSLEOFError(8, "EOF occurred"), Fault.TLS),
    ("bug", ValueError("bug"), None),
    ("missing key", KeyError("bug"), None),
    ("cancelled", asyncio.CancelledError(), None),
]


@pytest.mark.parametrize(
    ("error", "fault"), [pytest.param(e, f, id=name) for name, e, f in REQUESTS]
)
def test_fault_of_requests(error: BaseException, fault: Fault | None) -> None:
    assert fault_of_exception(error) is fault


@pytest.mark.parametrize(
    ("error", "fault"), [pytest.param(e, f, id=name) for name, e, f in URLLIB3]
)
def test_fault_of_urllib3(error: BaseException, fault: Fault | None) -> None:
    assert fault_of_exception(error) is fault


@pytest.mark.parametrize(
    ("error", "fault"), [pytest.param(e, f, id=name) for name, e, f in STDLIB]
)
def test_fault_of_the_standard_library(
    error: BaseException, fault: Fault | None
) -> None:
    assert fault_of_exception(error) is fault


def httpx_cases(client: Any) -> list[tuple[BaseException, Fault | None]]:
    disconnected = "Server disconnected without sending a response."
    return [
        (
            caused(
                client.ConnectError("refused"),
                httpcore.ConnectError("refused"),
                REFUSED,
            ),
            Fault.CONNECT,
        ),
        (caused(client.ConnectError("name"), UNKNOWN_NAME), Fault.CONNECT),
        (
            caused(
                client.ConnectError("verify failed"),
                httpcore.ConnectError("verify failed"),
                wrong_certificate(),
            ),
            Fault.CERTIFICATE,
        ),
        (
            caused(
                client.ConnectError("EOF"),
                httpcore.ConnectError("EOF"),
                ssl.SSLEOFError(8, "EOF"),
            ),
            Fault.TLS,
        ),
        (
            caused(client.ConnectError("reset"), httpcore.ConnectError("reset"), RESET),
            Fault.CONNECT,
        ),
        (
            caused(
                client.ConnectError("all failed"),
                httpcore.ConnectError("all failed"),
                OSError("all failed"),
                NO_FILES,
            ),
            Fault.POOL,
        ),
        (
            caused(
                client.ConnectError("all failed"),
                httpcore.ConnectError("all failed"),
                OSError("all failed"),
                ExceptionGroup("of two addresses", [NO_FILES, NO_FILES]),
            ),
            Fault.POOL,
        ),
        (client.ConnectTimeout("slow"), Fault.CONNECT_TIMEOUT),
        (client.PoolTimeout("full"), Fault.POOL),
        (client.ReadTimeout("slow"), Fault.RESPONSE_TIMEOUT),
        (client.WriteTimeout("slow"), Fault.WRITE),
        (client.WriteError("broken"), Fault.WRITE),
        (client.ReadError("reset"), Fault.DISCONNECT),
        (client.CloseError("closing"), Fault.DISCONNECT),
        (client.RemoteProtocolError(disconnected), Fault.DISCONNECT),
        (client.RemoteProtocolError("illegal status line"), Fault.MALFORMED),
        (client.LocalProtocolError("too little data"), Fault.LOCAL),
        (client.UnsupportedProtocol("ftp"), Fault.LOCAL),
        (client.ProxyError("407"), Fault.PROXY),
        (client.DecodingError("not gzip"), Fault.DECODING),
        (client.InvalidURL("bad"), None),
        (client.TooManyRedirects("20"), None),
        (client.StreamConsumed(), None),
    ]


@pytest.mark.parametrize("client", [httpx, httpx2], ids=["httpx", "httpx2"])
@pytest.mark.parametrize("number", range(len(httpx_cases(httpx))))
def test_fault_of_httpx_and_httpx2(client: Any, number: int) -> None:
    error, fault = httpx_cases(client)[number]

    assert fault_of_exception(error) is fault


def test_cycle_of_causes_ends() -> None:
    one, other = R.ConnectionError(), R.ConnectionError()
    one.__cause__, other.__cause__ = other, one

    assert fault_of_exception(one) is Fault.DISCONNECT


def test_error_that_is_no_fault_is_neutral() -> None:
    assert outcome_of_exception(ValueError("bug")) is Outcome.neutral()


def test_error_with_a_fault_has_its_outcome() -> None:
    outcome = outcome_of_exception(REFUSED)

    assert (outcome.fault, outcome.health) == (Fault.CONNECT, Verdict.FAILURE)


def raised_status(client: Any, status: int) -> Exception:
    if client is requests:
        response = requests.Response()
        response.status_code = status
        return requests.HTTPError("bad", response=response)
    answer = client.Response(status, request=client.Request("GET", "http://h"))
    error: Exception = client.HTTPStatusError(
        "bad", request=answer.request, response=answer
    )
    return error


@pytest.mark.parametrize(
    "client", [requests, httpx, httpx2], ids=["requests", "httpx", "httpx2"]
)
@pytest.mark.parametrize(
    ("status", "health"), [(404, Verdict.SUCCESS), (503, Verdict.FAILURE)]
)
def test_raise_for_status_says_what_the_status_says(
    client: Any, status: int, health: Verdict
) -> None:
    assert outcome_of_exception(raised_status(client, status)).health is health


def test_urllibs_error_of_a_status_says_what_the_status_says() -> None:
    missing = urllib.error.HTTPError(
        "http://h", 404, "Not Found", Message(), io.BytesIO()
    )

    with missing:
        assert outcome_of_exception(missing).health is Verdict.SUCCESS


def test_error_is_caused_by_itself_and_by_what_it_wraps() -> None:
    inner = ConnectionRefusedError()
    reason = caused(NEW, inner)
    outer = R.ConnectionError(exhausted(reason))

    assert is_caused_by(outer, outer)
    assert is_caused_by(outer, reason)
    assert is_caused_by(outer, inner)


def test_error_is_not_caused_by_another() -> None:
    one, other = R.ConnectionError(), R.ConnectionError()
    one.__cause__ = one

    assert not is_caused_by(one, other)
    assert not is_caused_by(other, one)


@pytest.mark.parametrize(
    ("error", "health"),
    [
        (ConnectionResetError(), Verdict.FAILURE),
        (httpx.ReadTimeout("too slow"), Verdict.FAILURE),
        (httpx.DecodingError("no gzip"), Verdict.NEUTRAL),
        (ValueError("the caller's own"), Verdict.NEUTRAL),
        (KeyboardInterrupt(), Verdict.NEUTRAL),
    ],
)
def test_error_in_a_body_is_a_cut_body_or_no_fault(
    error: BaseException, health: Verdict
) -> None:
    outcome = outcome_of_body_error(error)

    assert outcome.health is health
    assert outcome.repeat is Repeat.NEVER
