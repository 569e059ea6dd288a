"""The SDKs that are built on httpx2."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Callable,
    Generator,
    Iterator,
)
from typing import Any

import anthropic
import httpx2
import huggingface_hub
import mistralai.client
import openai
from anthropic.types import RawMessageStreamEvent
from huggingface_hub.utils import _http as huggingface_http
from mistralai.client.models import CompletionEvent
from openai.types.chat import ChatCompletionChunk

from lbtransport import LoadBalancer
from lbtransport.httpx2 import AsyncLoadBalancingTransport, LoadBalancingTransport
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


def _client(service: LoadBalancer) -> httpx2.Client:
    return httpx2.Client(
        transport=LoadBalancingTransport(service, verify=NO_AUTHORITIES)
    )


def _async_client(service: LoadBalancer) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(
        transport=AsyncLoadBalancingTransport(service, verify=NO_AUTHORITIES)
    )


# openai; it also takes a client of httpx, though its annotations know none.


def _openai_text(chunk: ChatCompletionChunk) -> str | None:
    return chunk.choices[0].delta.content


@contextlib.contextmanager
def connect_openai(
    service: LoadBalancer,
    timeout: float,
    *,
    max_retries: int = 0,
    make_client: Callable[[LoadBalancer], Any] = _client,
) -> Iterator[Calls]:
    with openai.OpenAI(
        base_url="http://orders/v1",
        http_client=make_client(service),
        **settings(timeout, max_retries=max_retries),
    ) as client:
        yield calls_of(client.chat.completions.create, _openai_text)


@contextlib.asynccontextmanager
async def connect_async_openai(
    service: LoadBalancer,
    timeout: float,
    *,
    make_client: Callable[[LoadBalancer], Any] = _async_client,
) -> AsyncIterator[Calls]:
    async with openai.AsyncOpenAI(
        base_url="http://orders/v1",
        http_client=make_client(service),
        **settings(timeout),
    ) as client:
        yield calls_of(client.chat.completions.create, _openai_text, read=read_async)


# anthropic


def _anthropic_text(event: RawMessageStreamEvent) -> str | None:
    if event.type == "content_block_delta" and event.delta.type == "text_delta":
        return event.delta.text
    return None


@contextlib.contextmanager
def _connect_anthropic(service: LoadBalancer, timeout: float) -> Iterator[Calls]:
    with anthropic.Anthropic(
        base_url="http://orders", http_client=_client(service), **settings(timeout)
    ) as client:
        create = functools.partial(client.messages.create, max_tokens=9)
        yield calls_of(create, _anthropic_text)


@contextlib.asynccontextmanager
async def _connect_async_anthropic(
    service: LoadBalancer, timeout: float
) -> AsyncIterator[Calls]:
    async with anthropic.AsyncAnthropic(
        base_url="http://orders",
        http_client=_async_client(service),
        **settings(timeout),
    ) as client:
        create = functools.partial(client.messages.create, max_tokens=9)
        yield calls_of(create, _anthropic_text, read=read_async)


# mistralai


def _mistral_text(event: CompletionEvent) -> str | None:
    content = event.data.choices[0].delta.content
    return content if isinstance(content, str) else None


@contextlib.contextmanager
def _connect_mistral(service: LoadBalancer, timeout: float) -> Iterator[Calls]:
    with _client(service) as http:
        client = mistralai.client.Mistral(
            server_url="http://orders",
            api_key="none",
            timeout_ms=round(timeout * 1000),
            client=http,
        )
        yield Calls(
            lambda: client.chat.complete(**ASKED),
            lambda: read(client.chat.stream(**ASKED), _mistral_text),
        )


@contextlib.asynccontextmanager
async def _connect_async_mistral(
    service: LoadBalancer, timeout: float
) -> AsyncIterator[Calls]:
    async with _async_client(service) as http:
        client = mistralai.client.Mistral(
            server_url="http://orders",
            api_key="none",
            timeout_ms=round(timeout * 1000),
            async_client=http,
        )
        yield Calls(
            lambda: client.chat.complete_async(**ASKED),
            lambda: read_async(client.chat.stream_async(**ASKED), _mistral_text),
        )


# huggingface_hub: its client is the process's own, so it is given back in the end.


@contextlib.contextmanager
def huggingface_goes_to(service: LoadBalancer) -> Iterator[None]:
    huggingface_hub.set_client_factory(lambda: _client(service))
    huggingface_hub.set_async_client_factory(lambda: _async_client(service))
    try:
        yield
    finally:
        huggingface_hub.set_client_factory(huggingface_http.default_client_factory)
        huggingface_hub.set_async_client_factory(
            huggingface_http.default_async_client_factory
        )


@contextlib.contextmanager
def _connect_huggingface(service: LoadBalancer, timeout: float) -> Iterator[Calls]:
    client = huggingface_hub.InferenceClient(
        base_url="http://orders/v1", token="none", timeout=timeout
    )

    def words() -> Generator[str]:
        # Its streams have no close of their own: they end with the client's block.
        with client:
            for chunk in client.chat_completion(**ASKED, stream=True):
                if text := chunk.choices[0].delta.content:
                    yield text

    with huggingface_goes_to(service), client:
        yield Calls(lambda: client.chat_completion(**ASKED), words)


@contextlib.asynccontextmanager
async def _connect_async_huggingface(
    service: LoadBalancer, timeout: float
) -> AsyncIterator[Calls]:
    client = huggingface_hub.AsyncInferenceClient(
        base_url="http://orders/v1", token="none", timeout=timeout
    )

    async def words() -> AsyncGenerator[str]:
        async with client:
            chunks = await client.chat_completion(**ASKED, stream=True)
            async for chunk in chunks:
                if text := chunk.choices[0].delta.content:
                    yield text

    with huggingface_goes_to(service):
        async with client:
            yield Calls(lambda: client.chat_completion(**ASKED), words)


OPENAI_ERRORS = Errors(
    unreachable=openai.APIConnectionError,
    cut_off=openai.APIConnectionError,
    timed_out=openai.APITimeoutError,
)
_ANTHROPIC_ERRORS = Errors(
    unreachable=anthropic.APIConnectionError,
    cut_off=anthropic.APIConnectionError,
    timed_out=anthropic.APITimeoutError,
)
# These two let the client's own errors pass, but for one.
_MISTRAL_ERRORS = Errors(
    unreachable=httpx2.ConnectError,
    cut_off=httpx2.RemoteProtocolError,
    timed_out=httpx2.TimeoutException,
)
_HUGGINGFACE_ERRORS = Errors(
    unreachable=httpx2.ConnectError,
    cut_off=httpx2.RemoteProtocolError,
    timed_out=huggingface_hub.InferenceTimeoutError,
)

SDKS = [
    Sdk("openai", connect_openai, OPENAI_ERRORS),
    *under_both_loops(Sdk("openai", connect_async_openai, OPENAI_ERRORS)),
    Sdk("anthropic", _connect_anthropic, _ANTHROPIC_ERRORS),
    *under_both_loops(Sdk("anthropic", _connect_async_anthropic, _ANTHROPIC_ERRORS)),
    Sdk("mistralai", _connect_mistral, _MISTRAL_ERRORS),
    # Its asynchronous calls need asyncio's threads, so not under trio.
    Sdk("mistralai", _connect_async_mistral, _MISTRAL_ERRORS, loop="asyncio"),
    Sdk("huggingface_hub", _connect_huggingface, _HUGGINGFACE_ERRORS),
    *under_both_loops(
        Sdk("huggingface_hub", _connect_async_huggingface, _HUGGINGFACE_ERRORS)
    ),
]
