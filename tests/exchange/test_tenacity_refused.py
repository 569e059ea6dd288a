"""A user's own tenacity object that cannot be honoured is refused before it matters."""

from __future__ import annotations

import asyncio
import functools
from typing import Any

import pytest
import tenacity

from lbtransport import Backend, ConfigurationError, options
from tests.core_kit import A, make_service
from tests.exchange.kit import Client

CALLBACKS = [
    "sleep",
    "stop",
    "wait",
    "retry",
    "before",
    "after",
    "before_sleep",
    "retry_error_callback",
]


async def awaiting(*arguments: object) -> None:
    pass


class Awaiting:
    async def __call__(self, *arguments: object) -> None:
        pass


@pytest.mark.parametrize("name", CALLBACKS)
@pytest.mark.parametrize(
    "callback",
    [awaiting, Awaiting(), functools.partial(awaiting, 1)],
    ids=["function", "object", "partial"],
)
def test_callback_that_would_never_be_awaited(name: str, callback: Any) -> None:
    retrying = tenacity.Retrying(**{name: callback})

    with pytest.raises(ConfigurationError) as caught:
        make_service(retry=retrying)

    assert f"retry=Retrying({name}=" in str(caught.value)
    assert "would never await it: give a tenacity AsyncRetrying" in str(caught.value)


def test_callback_that_would_never_be_awaited_in_an_option() -> None:
    retrying = tenacity.Retrying(sleep=asyncio.sleep)  # type: ignore[arg-type]  # meant

    with (
        pytest.raises(ConfigurationError, match="AsyncRetrying"),
        options(retry=retrying),
    ):
        pass


@pytest.mark.parametrize("name", CALLBACKS)
def test_callbacks_of_an_awaiting_object_may_await(name: str) -> None:
    callback: dict[str, Any] = {name: awaiting}

    make_service(retry=tenacity.AsyncRetrying(**callback))


def test_awaiting_object_of_a_synchronous_client() -> None:
    client = Client()

    error = client.fail(ConfigurationError, retry=tenacity.AsyncRetrying())

    assert str(error).startswith("retry=AsyncRetrying(...) must be awaited")
    assert client.script.sent_to == []


async def test_sleep_that_would_block_the_loop() -> None:
    service = make_service([A], retry=tenacity.Retrying(sleep=lambda seconds: None))
    called: list[Backend] = []

    async def call(backend: Backend) -> None:
        called.append(backend)

    # Also if all goes well: else it would be found out on the first bad day.
    with pytest.raises(ConfigurationError, match="would block the event loop"):
        await service.execute_async(call)

    assert called == []
