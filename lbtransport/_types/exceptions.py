"""Which fault an exception stands for: one table for every client.

Errors are told by the names of their classes, since no client may be imported here,
and a process may hold several (httpx and httpx2 have the same names for unrelated
classes).
What wraps another error is refined by what it wraps: requests says `ConnectionError`
for nearly everything, httpx says `ConnectError` for a wrong certificate, and the
difference decides whether a POST may be repeated.

Only the adapters know at which stage an attempt stood; `outcome_of_body_error` is for
when they read a body.
"""

from __future__ import annotations

import errno

from lbtransport._types.answers import FAILURE_STATUSES, outcome_of_status
from lbtransport._types.outcome import CANCELLED, FAULTS, NEUTRAL, Fault, Outcome

# The first name found in a class's method resolution order counts, so a name covers
# all subclasses that are not named themselves.
_FAULT_OF_NAME = {
    # httpx and httpx2
    "ConnectError": Fault.CONNECT,
    "ConnectTimeout": Fault.CONNECT_TIMEOUT,  # requests' as well
    "PoolTimeout": Fault.POOL,
    "ReadTimeout": Fault.RESPONSE_TIMEOUT,  # requests' as well
    "WriteTimeout": Fault.WRITE,
    "WriteError": Fault.WRITE,
    "ReadError": Fault.DISCONNECT,
    "RemoteProtocolError": Fault.MALFORMED,
    "LocalProtocolError": Fault.LOCAL,
    "UnsupportedProtocol": Fault.LOCAL,
    "ProxyError": Fault.PROXY,  # requests' and urllib3's as well
    "TransportError": Fault.DISCONNECT,
    "DecodingError": Fault.DECODING,
    # requests; its RequestException is an OSError, which must not make a malformed
    # URL look like a dead backend
    "ChunkedEncodingError": Fault.BODY,
    "ContentDecodingError": Fault.DECODING,
    "Timeout": Fault.RESPONSE_TIMEOUT,
    "RequestException": Fault.LOCAL,
    # urllib3
    "NewConnectionError": Fault.CONNECT,
    "ConnectTimeoutError": Fault.CONNECT_TIMEOUT,
    "ReadTimeoutError": Fault.RESPONSE_TIMEOUT,
    "MaxRetryError": Fault.DISCONNECT,
    "ClosedPoolError": Fault.POOL,
    "EmptyPoolError": Fault.POOL,
    "ProtocolError": Fault.DISCONNECT,
    # the standard library
    "SSLCertVerificationError": Fault.CERTIFICATE,
    "CertificateError": Fault.CERTIFICATE,
    "SSLError": Fault.TLS,  # requests' and urllib3's as well
    "ConnectionRefusedError": Fault.CONNECT,
    "ConnectionError": Fault.DISCONNECT,  # requests' as well
    "gaierror": Fault.CONNECT,
    "TimeoutError": Fault.RESPONSE_TIMEOUT,
    "HTTPException": Fault.MALFORMED,
    "FileNotFoundError": Fault.LOCAL,
    "PermissionError": Fault.LOCAL,
    "OSError": Fault.DISCONNECT,
}

# What a wrapping error's fault may turn out to be when the wrapped one is looked at.
_REFINED_BY = {
    Fault.CONNECT: {Fault.TLS, Fault.CERTIFICATE},
    Fault.TLS: {Fault.CERTIFICATE},
    Fault.DISCONNECT: {
        Fault.CONNECT,
        Fault.CONNECT_TIMEOUT,
        Fault.TLS,
        Fault.CERTIFICATE,
        Fault.POOL,
        Fault.PROXY,
        Fault.MALFORMED,
        Fault.RESPONSE_TIMEOUT,
    },
}
# This process, or this machine, has no file left that a connection could be; whoever
# wraps it says that the backend could not be connected to.
_EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE})
_NOT_THE_BODY = frozenset(
    {None, Fault.LOCAL, Fault.DECODING, Fault.POOL, Fault.GOING_AWAY}
)
_DEEPEST_CHAIN = 6  # a cycle of causes must not hang us

# RFC 9113, 7: error codes of HTTP/2
_NO_ERROR = 0x0
_REFUSED_STREAM = 0x7
# h2's errors about what came in.  httpcore calls them local, as it does what h2 refuses
# to send; neutral, a server that breaks the protocol would never be ejected.
_ABOUT_FRAMES_RECEIVED = frozenset(
    {
        "DenialOfServiceError",
        "FrameDataMissingError",
        "FrameTooLargeError",
        "InvalidBodyLengthError",
        "NoSuchStreamError",
        "StreamClosedError",
    }
)
_ABOUT_PROTOCOLS = frozenset({Fault.MALFORMED, Fault.LOCAL})


def fault_of_exception(error: BaseException) -> Fault | None:
    """Return the fault that an exception stands for; None if it stands for none."""
    fault = _fault_of_class(type(error))
    if fault in _ABOUT_PROTOCOLS:
        said = _fault_of_http2(error)
        if said is not None:
            return said
        if fault is Fault.MALFORMED and "disconnected" in str(error):
            return Fault.DISCONNECT  # httpx and http.client call both a protocol error
    if fault in _REFINED_BY and _is_for_want_of_files(error):
        return Fault.POOL
    wrapped = _wrapped(error)
    for _ in range(_DEEPEST_CHAIN):
        if fault not in _REFINED_BY or wrapped is None:
            break
        inner = _fault_of_class(type(wrapped))
        if inner in _REFINED_BY[fault]:
            # urllib3 has no write timeout: where the system's own error aborted the
            # connection, and not urllib3's for reading, it was the upload that stalled.
            has_stalled_upload = isinstance(wrapped, TimeoutError)
            fault = Fault.WRITE if has_stalled_upload else inner
        wrapped = _wrapped(wrapped)
    return fault


def outcome_of_exception(
    error: BaseException, failure_statuses: frozenset[int] = FAILURE_STATUSES
) -> Outcome:
    """Return what an exception says of the backend: neutral if it is no fault.

    An error made of a response (``raise_for_status``) says what the response said.
    """
    status = getattr(getattr(error, "response", None), "status_code", None)
    if type(error).__name__ == "HTTPError" and status is None:
        status = getattr(error, "code", None)  # urllib.error's
    if isinstance(status, int):
        return outcome_of_status(status, failure_statuses)
    fault = fault_of_exception(error)
    return NEUTRAL if fault is None else FAULTS[fault]


def outcome_of_body_error(error: BaseException) -> Outcome:
    """Return what an error says that was raised while a response's body was read.

    By then a transport error is a cut body, whatever its name; a BaseException is a
    cancellation, and what is no fault of the backend stays none.
    """
    if not isinstance(error, Exception):
        return CANCELLED
    if fault_of_exception(error) in _NOT_THE_BODY:
        return NEUTRAL
    return FAULTS[Fault.BODY]


def is_caused_by(error: BaseException, cause: BaseException) -> bool:
    """Tell whether `cause` is `error` itself, or what it wraps."""
    link: BaseException | None = error
    depth = 0
    while link is not None and link is not cause and depth < _DEEPEST_CHAIN:
        link, depth = _wrapped(link), depth + 1
    return link is cause


def _is_for_want_of_files(error: BaseException) -> bool:
    link: BaseException | None = error
    for _ in range(_DEEPEST_CHAIN):
        if link is None:
            break
        if getattr(link, "errno", None) in _EXHAUSTED:
            return True
        link = _wrapped(link)
    return False


def _fault_of_class(kind: type[BaseException]) -> Fault | None:
    for parent in kind.__mro__:
        fault = _FAULT_OF_NAME.get(parent.__name__)
        if fault is not None:
            return fault
    return None


def _fault_of_http2(error: BaseException) -> Fault | None:
    """Return what a server did, in HTTP/2, to end a stream; None if it is not known.

    httpcore raises the event or error of h2 itself, as an error's argument, and httpx
    raises its words from that.

    References:
        RFC 9113, 6.8 and 8.7, on what was certainly not processed.
    """
    event = next(iter((error.__cause__ or error).args), None)
    kind, code = type(event).__name__, getattr(event, "error_code", None)
    if kind == "StreamReset" and getattr(event, "remote_reset", False):
        return Fault.UNPROCESSED if code == _REFUSED_STREAM else Fault.DISCONNECT
    if kind == "ConnectionTerminated":  # a GOAWAY
        # httpcore itself repeats what is above a last stream other than 0, on a new
        # connection; of what it reports the rest may have been processed.
        if getattr(event, "last_stream_id", None) == 0:
            return Fault.UNPROCESSED
        return Fault.GOING_AWAY if code == _NO_ERROR else Fault.DISCONNECT
    return Fault.MALFORMED if kind in _ABOUT_FRAMES_RECEIVED else None


def _wrapped(error: BaseException) -> BaseException | None:
    """Return the error inside an error: urllib3's reason, an argument, the cause.

    Of a group, trio's of the addresses that it tried, it is the last one.
    """
    group = getattr(error, "exceptions", ())
    for inner in (getattr(error, "reason", None), *reversed(error.args), *group[-1:]):
        if isinstance(inner, BaseException):
            return inner
    return error.__cause__
