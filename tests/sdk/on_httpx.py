"""The SDKs that are built on httpx, and openai's with a client of it."""

from __future__ import annotations

import contextlib
import functools
import math
from collections.abc import AsyncGenerator, AsyncIterator, Iterator

import groq
import httpx
import ollama
from groq.types.chat import ChatCompletionChunk
from qdrant_client import AsyncQdrantClient, QdrantClient
from qdrant_client.http.exceptions import ResponseHandlingException

from lbtransport import LoadBalancer
from lbtransport.httpx import AsyncLoadBalancingTransport, LoadBalancingTransport
from tests.httpx_family.kinds import NO_AUTHORITIES
from tests.sdk.kit import (
    ASKED,
    Calls,
    Errors,
    Sdk,
    calls_of,
    read,
    read_async,
    settings,
    under_both_loops,
)
from tests.sdk.on_httpx2 import OPENAI_ERRORS, connect_async_openai, connect_openai


def _client(service: LoadBalancer) -> httpx.Client:
    return httpx.Client(
        transport=LoadBalancingTransport(service, verify=NO_AUTHORITIES)
    )


def _async_client(service: LoadBalancer) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        transport=AsyncLoadBalancingTransport(service, verify=NO_AUTHORITIES)
    )


# groq


def _groq_text(chunk: ChatCompletionChunk) -> str | None:
    return chunk.choices[0].delta.content


@contextlib.contextmanager
def _connect_groq(service: LoadBalancer, timeout: float) -> Iterator[Calls]:
    with groq.Groq(
        base_url="http://orders", http_client=_client(service), **settings(timeout)
    ) as client:
        yield calls_of(client.chat.completions.create, _groq_text)


@contextlib.asynccontextmanager
async def _connect_async_groq(
    service: LoadBalancer, timeout: float
) -> AsyncIterator[Calls]:
    async with groq.AsyncGroq(
        base_url="http://orders",
        http_client=_async_client(service),
        **settings(timeout),
    ) as client:
        yield calls_of(client.chat.completions.create, _groq_text, read=read_async)


# ollama


def _ollama_text(chunk: ollama.ChatResponse) -> str | None:
    return chunk.message.content


@contextlib.contextmanager
def _connect_ollama(service: LoadBalancer, timeout: float) -> Iterator[Calls]:
    with ollama.Client(
        host="http://orders",
        timeout=timeout,
        transport=LoadBalancingTransport(service, verify=NO_AUTHORITIES),
    ) as client:
        yield Calls(
            lambda: client.chat(**ASKED),
            lambda: read(
                contextlib.closing(client.chat(**ASKED, stream=True)), _ollama_text
            ),
        )


@contextlib.asynccontextmanager
async def _connect_async_ollama(
    service: LoadBalancer, timeout: float
) -> AsyncIterator[Calls]:
    async with ollama.AsyncClient(
        host="http://orders",
        timeout=timeout,
        transport=AsyncLoadBalancingTransport(service, verify=NO_AUTHORITIES),
    ) as client:

        async def stream() -> contextlib.aclosing[AsyncGenerator[ollama.ChatResponse]]:
            return contextlib.aclosing(await client.chat(**ASKED, stream=True))

        yield Calls(
            lambda: client.chat(**ASKED),
            lambda: read_async(stream(), _ollama_text),
        )


# qdrant-client


def _whole_seconds(timeout: float) -> int:
    # It takes nothing else, because it tells the server as well.
    return math.ceil(timeout)


@contextlib.contextmanager
def _connect_qdrant(service: LoadBalancer, timeout: float) -> Iterator[Calls]:
    client = QdrantClient(
        url="http://orders",
        port=None,
        timeout=_whole_seconds(timeout),
        check_compatibility=False,
        transport=LoadBalancingTransport(service, verify=NO_AUTHORITIES),
    )
    with contextlib.closing(client):
        yield Calls(lambda: client.count("items"))


@contextlib.asynccontextmanager
async def _connect_async_qdrant(
    service: LoadBalancer, timeout: float
) -> AsyncIterator[Calls]:
    client = AsyncQdrantClient(
        url="http://orders",
        port=None,
        timeout=_whole_seconds(timeout),
        check_compatibility=False,
        transport=AsyncLoadBalancingTransport(service, verify=NO_AUTHORITIES),
    )
    try:
        yield Calls(lambda: client.count("items"))
    finally:
        await client.close()


_GROQ_ERRORS = Errors(
    unreachable=groq.APIConnectionError,
    cut_off=groq.APIConnectionError,
    timed_out=groq.APITimeoutError,
)
_OLLAMA_ERRORS = Errors(
    unreachable=ConnectionError,  # the builtin one; the others are the client's
    cut_off=httpx.RemoteProtocolError,
    timed_out=httpx.TimeoutException,
)
_QDRANT_ERRORS = Errors(
    unreachable=ResponseHandlingException,
    cut_off=ResponseHandlingException,
    timed_out=ResponseHandlingException,
)

_connect_openai = functools.partial(connect_openai, make_client=_client)
_connect_async_openai = functools.partial(
    connect_async_openai, make_client=_async_client
)

SDKS = [
    Sdk("openai-on-httpx", _connect_openai, OPENAI_ERRORS),
    *under_both_loops(Sdk("openai-on-httpx", _connect_async_openai, OPENAI_ERRORS)),
    Sdk("groq", _connect_groq, _GROQ_ERRORS),
    *under_both_loops(Sdk("groq", _connect_async_groq, _GROQ_ERRORS)),
    Sdk("ollama", _connect_ollama, _OLLAMA_ERRORS),
    *under_both_loops(Sdk("ollama", _connect_async_ollama, _OLLAMA_ERRORS)),
    Sdk("qdrant-client", _connect_qdrant, _QDRANT_ERRORS, streams=False),
    *under_both_loops(
        Sdk("qdrant-client", _connect_async_qdrant, _QDRANT_ERRORS, streams=False)
    ),
]
