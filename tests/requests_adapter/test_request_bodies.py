"""Bodies of requests that are sent again: whole, or not at all."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.conftest import ServerStarter
from tests.requests_adapter.conftest import Balance
from tests.servers import LoopbackServer, Reply, Request, close_without_answer, reply


@pytest.fixture
def tired(start_server: ServerStarter) -> LoopbackServer:
    """Start a server that reads a request and turns it down, unprocessed."""
    return start_server(reply(503, b"tired", headers=[("Retry-After", "1")]))


def _received(server: LoopbackServer) -> list[bytes]:
    return [request.body for request in server.requests]


@pytest.mark.parametrize(
    "data", [b"body", "body", {"a": "b"}, bytearray(b"body")], ids=type
)
def test_bytes_and_text_are_sent_again(
    balance: Balance, tired: LoopbackServer, server: LoopbackServer, data: object
) -> None:
    client = balance(tired.url, server.url)

    client.post("http://orders/", data=data)  # type: ignore[arg-type]  # all that requests takes

    assert _received(server) == _received(tired)
    assert _received(server) in ([b"body"], [b"a=b"])


def test_uploaded_files_are_sent_again(
    balance: Balance, tired: LoopbackServer, server: LoopbackServer
) -> None:
    client = balance(tired.url, server.url)

    client.post("http://orders/", files={"file": io.BytesIO(b"content")})

    assert _received(server) == _received(tired)
    assert b"content" in _received(server)[0]


def test_a_file_is_rewound_to_where_it_began(
    balance: Balance, tired: LoopbackServer, server: LoopbackServer, tmp_path: Path
) -> None:
    path = tmp_path / "body"
    path.write_bytes(b"not this, but this")
    client = balance(tired.url, server.url)

    with path.open("rb") as file:
        file.seek(len(b"not this, "))
        client.put("http://orders/", data=file)

    assert _received(tired) == _received(server) == [b"but this"]


def test_a_text_file_is_rewound_too(
    balance: Balance, tired: LoopbackServer, server: LoopbackServer
) -> None:
    file = io.StringIO("first line\nand the rest")
    file.readline()
    client = balance(tired.url, server.url)

    client.put("http://orders/", data=file)

    assert _received(tired) == _received(server) == [b"and the rest"]


class ReadOnce(io.BytesIO):
    """A file that cannot go back once it was read, though it said where it began."""

    error: Exception = OSError("this file cannot be rewound")
    was_read = False

    def read(self, size: int | None = -1) -> bytes:
        self.was_read = True
        return super().read(size)

    def seek(self, position: int, whence: int = 0) -> int:
        if self.was_read:
            raise self.error
        return super().seek(position, whence)


class ClosedAfterwards(ReadOnce):
    error = ValueError("I/O operation on closed file")


@pytest.mark.parametrize("kind", [ReadOnce, ClosedAfterwards])
def test_a_file_that_cannot_be_rewound_leaves_the_answer_as_it_is(
    balance: Balance,
    tired: LoopbackServer,
    server: LoopbackServer,
    kind: type[io.BytesIO],
) -> None:
    client = balance(tired.url, server.url)

    response = client.put("http://orders/", data=kind(b"body"))

    assert (response.status_code, response.text) == (503, "tired")
    assert server.requests == []


def test_a_file_that_cannot_be_rewound_leaves_the_error_as_it_is(
    balance: Balance, start_server: ServerStarter, server: LoopbackServer
) -> None:
    dying = start_server(close_without_answer)
    client = balance(dying.url, server.url)

    with pytest.raises(requests.ConnectionError) as raised:
        client.put("http://orders/", data=ReadOnce(b"body"))

    assert raised.type is requests.ConnectionError
    assert server.requests == []


def _generated() -> Iterator[bytes]:
    yield b"bo"
    yield b"dy"


class Pipe:
    """What can be read, and neither measured nor rewound."""

    def __init__(self, content: str | bytes) -> None:
        self._content = content

    def read(self, size: int = -1) -> str | bytes:
        content, self._content = self._content, self._content[:0]
        return content

    def __iter__(self) -> Iterator[str | bytes]:
        yield self._content


@pytest.mark.parametrize("kind", ["generator", "pipe", "text pipe"])
def test_a_body_that_can_be_sent_once_goes_elsewhere_while_it_is_untouched(
    balance: Balance, refused_url: str, server: LoopbackServer, kind: str
) -> None:
    bodies = {
        "generator": _generated(),
        "pipe": Pipe(b"body"),
        "text pipe": Pipe("body"),
    }
    client = balance(refused_url, server.url)

    client.post("http://orders/", data=bodies[kind])  # type: ignore[arg-type]  # all that requests takes

    assert _received(server) == [b"body"]


def test_a_body_that_can_be_sent_once_is_sent_once(
    balance: Balance, tired: LoopbackServer, server: LoopbackServer
) -> None:
    client = balance(tired.url, server.url)

    response = client.put("http://orders/", data=_generated())

    assert response.status_code == 503
    assert _received(tired) == [b"body"]
    assert server.requests == []


def test_the_callers_request_keeps_its_own_body(
    balance: Balance, server: LoopbackServer
) -> None:
    client = balance(server.url)
    body = _generated()

    response = client.post("http://orders/", data=body)

    assert response.request.body is body  # type: ignore[comparison-overlap]  # the stub knows no iterables


def test_an_early_answer_to_a_large_upload_is_the_callers(
    balance: Balance, server: LoopbackServer
) -> None:
    def refuse(_: Request) -> Reply:
        return Reply(413, body=b"too large")

    server.on_headers = refuse
    client = balance(server.url)

    response = client.post("http://orders/", data=b"x" * 100_000)

    assert (response.status_code, response.text) == (413, "too large")
