"""Bodies of requests: which can be sent again, and which are sent once."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ServerStarter
from tests.httpx_family.kinds import (
    SYNC_KINDS,
    Kind,
    done,
    orders_at,
    outcomes_of,
)
from tests.servers import (
    LoopbackServer,
    close_without_answer,
    reply,
)

URL = "http://orders/items"


async def test_generator_body_that_was_not_touched_fails_over_whole(
    kind: Kind, refused_url: str, server: LoopbackServer
) -> None:
    orders = orders_at(refused_url, server.url)

    async with kind.connect(orders) as client:
        body = kind.body_of(b"in ", b"two")
        response = await done(client.post(URL, content=body))

    assert response.status_code == 200
    assert [request.body for request in server.requests] == [b"in two"]


async def test_generator_body_that_was_touched_is_sent_once_and_answered_by_the_503(
    kind: Kind, start_server: ServerStarter
) -> None:
    first, second = start_server(reply(503, b"busy")), start_server()
    orders = orders_at(first.url, second.url)

    async with kind.connect(orders) as client:
        response = await done(client.put(URL, content=kind.body_of(b"in ", b"two")))

    assert (response.status_code, response.text) == (503, "busy")
    assert second.requests == []


async def test_generator_body_that_was_touched_keeps_its_connection_error(
    kind: Kind, start_server: ServerStarter
) -> None:
    first, second = start_server(close_without_answer), start_server()

    async with kind.connect(orders_at(first.url, second.url)) as client:
        with pytest.raises(kind.hx.RemoteProtocolError):
            await done(client.put(URL, content=kind.body_of(b"in ", b"two")))

    assert second.requests == []


async def test_retry_after_does_not_repeat_a_touched_generator(
    kind: Kind, start_server: ServerStarter
) -> None:
    first = start_server(reply(503, b"busy", headers=[("Retry-After", "30")]))
    second = start_server()

    async with kind.connect(orders_at(first.url, second.url)) as client:
        response = await done(client.post(URL, content=kind.body_of(b"x")))

    assert response.text == "busy"
    assert second.requests == []


async def test_form_with_a_seekable_file_is_repeated_whole(
    kind: Kind, start_server: ServerStarter
) -> None:
    first, second = start_server(reply(503)), start_server()
    file = io.BytesIO(b"content of the file")

    async with kind.connect(orders_at(first.url, second.url)) as client:
        await done(client.put(URL, files={"upload": file}, data={"a": "b"}))

    assert first.requests[0].body == second.requests[0].body
    assert b"content of the file" in second.requests[0].body


class _Pipe(io.RawIOBase):
    """A file that cannot be rewound."""

    def __init__(self) -> None:
        self._left = b"content of the file"

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        size = len(self._left)
        buffer[:size], self._left = self._left, b""
        return size


async def test_form_with_a_file_that_cannot_be_rewound_is_sent_once(
    kind: Kind, start_server: ServerStarter
) -> None:
    first, second = start_server(reply(503, b"busy")), start_server()

    async with kind.connect(orders_at(first.url, second.url)) as client:
        response = await done(client.put(URL, files={"upload": _Pipe()}))

    assert response.text == "busy"
    assert second.requests == []


async def test_form_with_a_file_that_cannot_be_rewound_survives_a_refusal(
    kind: Kind, refused_url: str, server: LoopbackServer
) -> None:
    async with kind.connect(orders_at(refused_url, server.url)) as client:
        await done(client.put(URL, files={"upload": _Pipe()}))

    assert b"content of the file" in server.requests[0].body


async def test_stream_of_the_callers_own_is_sent_once(
    kind: Kind, start_server: ServerStarter
) -> None:
    first, second = start_server(reply(503, b"busy")), start_server()
    body = kind.body_of(b"x")

    class Stream(kind.hx.SyncByteStream, kind.hx.AsyncByteStream):  # type: ignore[name-defined, misc]  # bases chosen at run time
        fields = ("which", "are", "not", "those", "of", "a", "form")

        def __iter__(self) -> Any:
            yield from body

        async def __aiter__(self) -> Any:
            async for chunk in body:
                yield chunk

    async with kind.connect(orders_at(first.url, second.url)) as client:
        headers = {"Host": "orders", "Content-Length": "1"}
        request = kind.hx.Request("PUT", URL, stream=Stream(), headers=headers)
        response = await done(client.send(request))
        content = await kind.read(response)

    assert content == b"busy"
    assert second.requests == []


@pytest.mark.parametrize("kind", SYNC_KINDS, indirect=True, ids=str)
async def test_open_file_as_a_body_is_rewound(
    kind: Kind, start_server: ServerStarter, tmp_path: Path
) -> None:
    first, second = start_server(reply(503)), start_server()
    path = tmp_path / "body"
    path.write_bytes(b"content")

    async with kind.connect(orders_at(first.url, second.url)) as client:
        with path.open("rb") as file:
            await done(client.put(URL, content=file))

    assert [request.body for request in first.requests] == [b"content"]
    assert [request.body for request in second.requests] == [b"content"]


@pytest.mark.parametrize("kind", SYNC_KINDS, indirect=True, ids=str)
async def test_file_is_rewound_to_where_it_began(
    kind: Kind, start_server: ServerStarter
) -> None:
    first, second = start_server(reply(503)), start_server()
    file = io.BytesIO(b"not this, but this")
    file.seek(len(b"not this, "))

    async with kind.connect(orders_at(first.url, second.url)) as client:
        # httpx counts the whole file; what is sent is what is left of it.
        headers = {"Content-Length": "8"}
        await done(client.put(URL, content=file, headers=headers))

    assert [request.body for request in first.requests] == [b"but this"]
    assert [request.body for request in second.requests] == [b"but this"]


class _ReadOnce(io.BytesIO):
    """A file that cannot go back once it was read, though it said where it began."""

    was_read = False

    def read(self, size: int | None = -1) -> bytes:
        self.was_read = True
        return super().read(size)

    def seek(self, position: int, whence: int = 0) -> int:
        if self.was_read:
            raise io.UnsupportedOperation("seek")
        return super().seek(position, whence)


@pytest.mark.parametrize("make", [_Pipe, lambda: _ReadOnce(b"content")])
@pytest.mark.parametrize("kind", SYNC_KINDS, indirect=True, ids=str)
async def test_file_as_a_body_that_cannot_be_rewound_is_sent_once(
    kind: Kind, start_server: ServerStarter, make: Any
) -> None:
    first, second = start_server(reply(503, b"busy")), start_server()

    async with kind.connect(orders_at(first.url, second.url)) as client:
        headers = {"Transfer-Encoding": "chunked"}
        response = await done(client.put(URL, content=make(), headers=headers))

    assert response.text == "busy"
    assert second.requests == []


async def test_early_refusal_of_an_upload_is_the_answer(
    kind: Kind, start_server: ServerStarter
) -> None:
    server = start_server(on_headers=reply(413, b"too much"))

    async with kind.connect(orders_at(server.url)) as client:
        response = await done(client.post(URL, content=b"x" * 1_000_000))

    assert (response.status_code, response.text) == (413, "too much")


async def test_callers_generator_that_raises_blames_nobody(
    kind: Kind, server: LoopbackServer
) -> None:
    orders = orders_at(server.url)

    def broken() -> Any:
        yield b"x"
        raise LookupError("the caller's own")

    async def broken_async() -> Any:
        yield b"x"
        raise LookupError("the caller's own")

    async with kind.connect(orders) as client:
        content = broken_async() if kind.is_async else broken()
        with pytest.raises(LookupError, match="own"):
            await done(client.post(URL, content=content))

    assert outcomes_of(orders) == (1, 0, 0)
