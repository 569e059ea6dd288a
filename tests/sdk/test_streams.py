"""Streams of every SDK that has them: word by word, and given up in the middle."""

from __future__ import annotations

import threading
from collections.abc import AsyncGenerator

import anyio
import httpx
import httpx2
import pytest

from tests.conftest import ServerStarter
from tests.httpx_family.kinds import (
    in_flight,
    leaves_generators,
    orders_at,
    outcomes_of,
)
from tests.sdk import stub
from tests.sdk.kit import Sdk, next_word, rest_of, stop
from tests.sdk.sdks import SDKS
from tests.servers import Fate

STREAMING = [sdk for sdk in SDKS if sdk.streams]
ASYNC = [sdk for sdk in STREAMING if sdk.loop]

of_all = pytest.mark.parametrize("sdk", STREAMING, indirect=True, ids=str)
of_async = pytest.mark.parametrize("sdk", ASYNC, indirect=True, ids=str)

# The SDKs leave generators of theirs too, at the end of a stream as well.
pytestmark = leaves_generators


@of_all
async def test_words_arrive_one_at_a_time(
    sdk: Sdk, start_server: ServerStarter
) -> None:
    gates = [threading.Event() for _ in stub.WORDS]
    orders = orders_at(start_server(stub.answer_word_by_word(gates)).url)
    received = []
    busy = []

    async with sdk.open(orders) as calls:
        assert calls.words
        words = calls.words()
        for gate in gates:
            received.append(await next_word(words))
            busy.append(in_flight(orders))
            gate.set()  # only now the server sends the next word
        rest = await rest_of(words)

    assert (received, rest) == (stub.WORDS, [])
    assert busy == [1, 1, 1]
    assert outcomes_of(orders) == (1, 0, 0)


@of_all
async def test_early_close_gives_the_server_back_at_once(
    sdk: Sdk, start_server: ServerStarter
) -> None:
    server = start_server(stub.answer_word_by_word([threading.Event()]))
    orders = orders_at(server.url)

    async with sdk.open(orders) as calls:
        assert calls.words
        words = calls.words()
        first = await next_word(words)
        await stop(words)
        outcomes = outcomes_of(orders)
        server.wait_until(lambda server: not server.open_connections)

    assert first == stub.WORDS[0]
    assert outcomes == (1, 0, 0)


@of_all
async def test_stream_of_a_server_that_refuses_comes_from_another(
    sdk: Sdk, refused_url: str, start_server: ServerStarter
) -> None:
    server = start_server(stub.answer)

    async with sdk.open(orders_at(refused_url, server.url)) as calls:
        assert calls.words
        words = await rest_of(calls.words())

    assert words == stub.WORDS
    assert len(server.requests) == 1


@of_async
async def test_cancelled_stream_gives_the_server_back_at_once(
    sdk: Sdk, start_server: ServerStarter
) -> None:
    server = start_server(stub.answer_word_by_word([threading.Event()]))
    orders = orders_at(server.url)
    received: list[str] = []
    heard = anyio.Event()

    async with sdk.open(orders) as calls:

        async def listen() -> None:
            assert calls.words
            words = calls.words()
            assert isinstance(words, AsyncGenerator)
            async for word in words:
                received.append(word)
                heard.set()

        async with anyio.create_task_group() as group:
            group.start_soon(listen)
            await heard.wait()
            group.cancel_scope.cancel()
        outcomes = outcomes_of(orders)
        server.wait_until(lambda server: not server.open_connections)

    assert received == stub.WORDS[:1]
    assert outcomes == (1, 0, 0)


@of_all
async def test_stream_that_breaks_off_is_not_begun_again(
    sdk: Sdk, start_server: ServerStarter
) -> None:
    first = start_server(stub.answer_word_by_word([Fate.CLOSE]))
    second = start_server(stub.answer)
    orders = orders_at(first.url, second.url)

    async with sdk.open(orders) as calls:
        assert calls.words
        words = calls.words()
        received = await next_word(words)
        # Once a stream has begun some SDKs let the client's own errors pass.
        with pytest.raises(
            (sdk.errors.cut_off, httpx.RemoteProtocolError, httpx2.RemoteProtocolError)
        ):
            await rest_of(words)

    assert received == stub.WORDS[0]
    assert (len(first.requests), len(second.requests)) == (1, 0)
    assert outcomes_of(orders) == (1, 1, 0)
