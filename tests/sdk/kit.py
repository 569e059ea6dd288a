"""SDKs as values: one test runs for all of them.

A test is an async function that says `await done(calls.post())`; for a synchronous SDK
that awaits nothing, so the same lines serve both.

Not here: the SDKs (`on_httpx2`, `on_httpx`, `on_requests`, by the client that each is
built on), nor what their servers answer (`stub`).
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Generator,
    Iterable,
)
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

from lbtransport import LoadBalancer
from tests.servers import PATIENCE

Chunk = TypeVar("Chunk")
Words: TypeAlias = Generator[str] | AsyncGenerator[str]


@dataclass(frozen=True)
class Calls:
    """What a test does with an SDK whose host is "orders".

    Attributes:
        post: Sends one POST and returns what the SDK makes of the answer.
        words: Opens a stream, and gives its words as they come; closing the generator
            is leaving the SDK's own `with` block early.
    """

    post: Callable[[], object]
    words: Callable[[], Words] | None = None


Connect: TypeAlias = (
    Callable[[LoadBalancer, float], AbstractContextManager[Calls]]
    | Callable[[LoadBalancer, float], AbstractAsyncContextManager[Calls]]
)


@dataclass(frozen=True)
class Errors:
    """What an SDK raises.

    Attributes:
        unreachable: When there is no server to connect to.
        cut_off: When the connection ends instead of an answer.
        timed_out: When the answer does not come in time.
    """

    unreachable: type[Exception]
    cut_off: type[Exception]
    timed_out: type[Exception]


@dataclass(frozen=True)
class Sdk:
    """One SDK, as its page in docs/how-to sets it up: without retries of its own.

    Attributes:
        name: The SDK's.
        connect: Makes the client, given the service and a timeout, and closes it.
        errors: What it raises.
        loop: What its tests run under; None for a synchronous client.
        streams: Whether its calls have `words`.
        declares_posts_idempotent: Whether its POSTs bear an Idempotency-Key.
    """

    name: str
    connect: Connect
    errors: Errors
    loop: str | None = None
    streams: bool = True
    declares_posts_idempotent: bool = False

    def __str__(self) -> str:
        return f"{self.name}-{self.loop or 'sync'}"

    @contextlib.asynccontextmanager
    async def open(
        self, service: LoadBalancer, *, timeout: float = PATIENCE
    ) -> AsyncIterator[Calls]:
        """Connect it to `service`.

        Args:
            service: The backends behind the name "orders".
            timeout: Seconds, given to the SDK in its own way.
        """
        opening = self.connect(service, timeout)
        if isinstance(opening, AbstractAsyncContextManager):
            async with opening as calls:
                yield calls
        else:
            with opening as calls:
                yield calls


def under_both_loops(sdk: Sdk) -> list[Sdk]:
    """Return it twice: under asyncio, and under trio."""
    return [dataclasses.replace(sdk, loop=loop) for loop in ("asyncio", "trio")]


# What language models are asked, whoever made them.
ASKED: dict[str, Any] = {
    "model": "small",
    "messages": [{"role": "user", "content": "Hello"}],
}


def settings(timeout: float, *, max_retries: int = 0) -> dict[str, Any]:
    """Return what the SDKs of openai, anthropic and groq are all given."""
    return {"api_key": "none", "timeout": timeout, "max_retries": max_retries}


def read(
    stream: AbstractContextManager[Iterable[Chunk]],
    text_of: Callable[[Chunk], str | None],
) -> Generator[str]:
    """Give the words of a stream, as the SDK's users read it."""
    with stream as chunks:
        for chunk in chunks:
            if text := text_of(chunk):
                yield text


async def read_async(
    opening: Awaitable[AbstractAsyncContextManager[AsyncIterable[Chunk]]],
    text_of: Callable[[Chunk], str | None],
) -> AsyncGenerator[str]:
    """Open a stream and give its words, as the SDK's users read it."""
    async with await opening as chunks:
        async for chunk in chunks:
            if text := text_of(chunk):
                yield text


def calls_of(
    create: Callable[..., Any],
    text_of: Callable[[Any], str | None],
    *,
    read: Callable[..., Words] = read,
) -> Calls:
    """Return the calls of an SDK that has one method for answers and for streams.

    Args:
        create: The method.
        text_of: Takes the text, if any, from an element of a stream.
        read: Reads a stream; `read` or `read_async`.
    """
    return Calls(
        lambda: create(**ASKED),
        lambda: read(create(**ASKED, stream=True), text_of),
    )


async def next_word(words: Words) -> str:
    """Return the next word."""
    return await anext(words) if isinstance(words, AsyncGenerator) else next(words)


async def rest_of(words: Words) -> list[str]:
    """Return all words that are left."""
    if isinstance(words, AsyncGenerator):
        return [word async for word in words]
    return list(words)


async def stop(words: Words) -> None:
    """Stop reading."""
    if isinstance(words, AsyncGenerator):
        await words.aclose()
    else:
        words.close()
