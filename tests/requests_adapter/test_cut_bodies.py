"""What goes wrong while a response's body is read: whose fault it is."""

from __future__ import annotations

import contextlib
import gzip

import pytest
import requests
import urllib3
from urllib3.exceptions import ProtocolError, ResponseNotChunked

from lbtransport import LoadBalancer, options
from tests.requests_adapter.kit import (
    DONE,
    FAILED,
    FULL,
    SIZED,
    Balanced,
    outcomes_of,
)
from tests.servers import (
    Fate,
    Handler,
    LoopbackServer,
    Reply,
    reply,
    truncated_body,
    truncated_chunk,
)


def _by_read1(response: requests.Response) -> bytes:
    return b"".join(iter(lambda: response.raw.read1(4096), b""))


@pytest.mark.parametrize(
    ("handler", "error"),
    [
        pytest.param(
            truncated_body, requests.exceptions.ChunkedEncodingError, id="half a body"
        ),
        pytest.param(
            truncated_chunk, requests.exceptions.ChunkedEncodingError, id="half a chunk"
        ),
        pytest.param(
            lambda _: Reply(body=[b"four", Fate.CLOSE]),
            requests.exceptions.ChunkedEncodingError,
            id="closed between chunks",
        ),
        pytest.param(
            lambda _: Reply(body=[b"four", Fate.RESET]),
            requests.exceptions.ChunkedEncodingError,
            id="reset",
        ),
        pytest.param(
            lambda _: Reply(body=[b"four", Fate.HANG]),
            requests.ConnectionError,
            id="stalled chunks",
        ),
        pytest.param(
            lambda _: [b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfour", Fate.HANG],
            requests.ConnectionError,
            id="stalled",
        ),
    ],
)
@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("deadline", [None, 60.0])
def test_a_cut_body_is_a_failure_and_never_repeated(
    client: Balanced,
    server: LoopbackServer,
    service: LoadBalancer,
    *,
    handler: Handler,
    error: type[Exception],
    stream: bool,
    deadline: float | None,
) -> None:
    server.handler = handler

    with options(deadline=deadline), pytest.raises(error) as raised:
        response = client.get("http://orders/", stream=stream, timeout=(60, 0.1))
        _ = response.content

    assert raised.type is error
    assert outcomes_of(service) == FAILED
    assert len(server.requests) == 1


@pytest.mark.parametrize("deadline", [None, 60.0])
def test_a_cut_body_that_is_read_raw_is_a_failure(
    client: Balanced,
    server: LoopbackServer,
    service: LoadBalancer,
    deadline: float | None,
) -> None:
    server.handler = truncated_body

    with options(deadline=deadline):
        response = client.get("http://orders/", stream=True)
    with pytest.raises(ProtocolError):
        _by_read1(response)

    assert outcomes_of(service) == FAILED


def test_a_failure_at_the_headers_is_not_counted_again_when_the_body_is_cut(
    client: Balanced, server: LoopbackServer, service: LoadBalancer
) -> None:
    server.handler = lambda _: [
        b"HTTP/1.1 500 Oh\r\nContent-Length: 10\r\n\r\nfour",
    ]

    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        client.get("http://orders/")

    assert outcomes_of(service) == FAILED


@pytest.mark.parametrize("body", [b"this is not gzip", gzip.compress(FULL)[:50]])
def test_a_body_that_cannot_be_decoded_blames_nobody(
    client: Balanced, server: LoopbackServer, service: LoadBalancer, body: bytes
) -> None:
    server.handler = reply(body=body, headers=[("Content-Encoding", "gzip")])

    with contextlib.suppress(requests.exceptions.ContentDecodingError):
        client.get("http://orders/")

    assert outcomes_of(service) == DONE


def test_a_gzipped_body_is_decoded_under_a_deadline_too(
    client: Balanced, server: LoopbackServer, service: LoadBalancer
) -> None:
    packed = gzip.compress(FULL)
    server.handler = reply(body=packed, headers=[("Content-Encoding", "gzip")])

    with options(deadline=60):
        decoded = client.get("http://orders/").content
        raw = client.get("http://orders/", stream=True).raw.read(5)

    assert (decoded, raw) == (FULL, packed[:5])


def test_an_interrupted_read_blames_nobody(
    client: Balanced,
    server: LoopbackServer,
    service: LoadBalancer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server.handler = SIZED
    response = client.get("http://orders/", stream=True)

    def interrupt(*_: object) -> bytes:
        raise KeyboardInterrupt

    monkeypatch.setattr(urllib3.HTTPResponse, "read", interrupt)
    with pytest.raises(KeyboardInterrupt):
        response.raw.read()

    assert outcomes_of(service) == DONE
    response.close()


def test_chunks_of_what_has_none_are_refused_and_the_body_is_still_there(
    client: Balanced, server: LoopbackServer, service: LoadBalancer
) -> None:
    server.handler = SIZED
    response = client.get("http://orders/", stream=True)

    with pytest.raises(ResponseNotChunked):
        next(response.raw.read_chunked())

    assert outcomes_of(service) == (1, 0, 1)
    assert response.content == FULL
