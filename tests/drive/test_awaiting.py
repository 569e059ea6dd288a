"""What must be awaited: a task does it, a thread refuses."""

from __future__ import annotations

import functools
from collections.abc import Generator
from typing import Any

import pytest
import tenacity
from anyio.lowlevel import checkpoint

from lbtransport import Backend, ConfigurationError
from lbtransport._drive import drive
from lbtransport._effects import Call, Effect
from tests.core_kit import A, B, make_service
from tests.drive.kit import DRIVERS, Steps, ask_for, make_awaiting


async def double(number: int) -> int:
    await checkpoint()
    return 2 * number


async def failing(*arguments: object) -> None:
    await checkpoint()
    raise ZeroDivisionError


class Awaitful:
    """An awaitable that is no coroutine."""

    def __await__(self) -> Generator[Any, Any, int]:
        yield from ()
        return 7


AWAITED: dict[str, tuple[Effect, object]] = {
    "call": (Call(double, (4,)), 8),
    "call that fails": (Call(failing), "ZeroDivisionError"),
    "no coroutine": (Call(Awaitful), 7),
}


@pytest.mark.parametrize("script", AWAITED)
@pytest.mark.parametrize("driver", ["asyncio", "trio"])
def test_task_awaits_what_can_be_awaited(driver: str, script: str) -> None:
    effect, result = AWAITED[script]

    _, trace = DRIVERS[driver](lambda trace: ask_for(effect, trace=trace), None)

    assert trace == [(type(effect).__name__, result)]


@pytest.mark.parametrize("script", AWAITED)
def test_thread_refuses_what_must_be_awaited(script: str) -> None:
    effect, _ = AWAITED[script]

    with pytest.raises(ConfigurationError, match="must be awaited, and a synchronous"):
        drive(ask_again(effect))


def ask_again(effect: Effect) -> Steps:
    return (yield effect)


async def test_own_async_object_may_sleep_by_whatever_can_be_awaited() -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        await checkpoint()
        slept.append(seconds)

    # Not an async function itself: what counts is what it returns.
    by = functools.partial(sleep)
    retrying = make_awaiting(wait=tenacity.wait_fixed(3600), sleep=by)
    service, errors = make_service([A, B], retry=retrying), [ConnectionRefusedError()]

    async def call(backend: Backend) -> str:
        if errors:
            raise errors.pop()
        return "there"

    assert await service.execute_async(call) == "there"
    assert slept == [3600.0]
