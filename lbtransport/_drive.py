"""The drivers: they perform the effects of a generator, for threads and for tasks.

This is the only code of the package that exists twice.
Keep the two in step, line by line: a test runs the same script through both and
compares the traces.
"""

from __future__ import annotations

import contextlib
import inspect
import threading
import time
from collections.abc import Generator
from typing import Any, Protocol, Self, TypeVar, assert_never

from lbtransport._effects import Call, Close, Effect, Race, Send, Sleep, Vet, Wait
from lbtransport._errors import ConfigurationError
from lbtransport._loops import loaded_asyncio, running_trio
from lbtransport._race import race, race_async
from lbtransport._tenacity import refuse_awaiting, refuse_blocking
from lbtransport._types import Backend, Signal

T = TypeVar("T")


class Courier(Protocol):
    """Sends one request, and closes responses, for a thread."""

    def twin(self) -> Self:
        """Return another courier of the same request, which can be on its way too."""
        ...

    def adopt(self, twin: Self) -> None:
        """Go on as `twin`, which sent what is handed to the caller."""
        ...

    def send(self, backend: Backend, timeout: float | None) -> Any:
        """Send the request to `backend`; return the response, its body unread."""
        ...

    def close(self, response: Any) -> None:
        """Close a response that nobody will see."""
        ...


class AsyncCourier(Protocol):
    """Sends one request, and closes responses, for a task."""

    def twin(self) -> Self:
        """Return another courier of the same request, which can be on its way too."""
        ...

    def adopt(self, twin: Self) -> None:
        """Go on as `twin`, which sent what is handed to the caller."""
        ...

    async def send(self, backend: Backend, timeout: float | None) -> Any:
        """Send the request to `backend`; return the response, its body unread."""
        ...

    async def close(self, response: Any) -> None:
        """Close a response that nobody will see."""
        ...


def drive(steps: Generator[Effect, Any, T], courier: Courier | None = None) -> T:
    """Run `steps` to their end in this thread; return what they return.

    Args:
        steps: Yields effects.
        courier: Performs Send and Close.
    """
    try:
        effect = next(steps)
        while True:
            try:
                result = perform(effect, courier)
            except BaseException as error:  # noqa: BLE001 - the generator's to judge
                effect = steps.throw(error)
            else:
                effect = steps.send(result)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]  # StopIteration is not generic


async def drive_async(
    steps: Generator[Effect, Any, T], courier: AsyncCourier | None = None
) -> T:
    """Run `steps` to their end in this task; return what they return.

    Args:
        steps: Yields effects.
        courier: Performs Send and Close.
    """
    try:
        effect = next(steps)
        while True:
            try:
                result = await perform_async(effect, courier)
            except BaseException as error:  # noqa: BLE001 - the generator's to judge
                effect = steps.throw(error)
            else:
                effect = steps.send(result)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]  # StopIteration is not generic


def perform(effect: Effect, courier: Courier | None) -> Any:
    """Perform one effect in this thread."""
    match effect:
        case Send(backend, timeout):
            assert courier is not None
            return courier.send(backend, timeout)
        case Close(response):
            assert courier is not None
            return courier.close(response)
        case Race():
            assert courier is not None
            return race(effect, courier)
        case Sleep(seconds):
            return time.sleep(seconds)
        case Wait(signal, timeout):
            return _wait(signal, timeout)
        case Call(function, arguments):
            return _returned(function(*arguments), function)
        case Vet(retrying):
            return refuse_awaiting(retrying)
        case _:
            assert_never(effect)


async def perform_async(effect: Effect, courier: AsyncCourier | None) -> Any:
    """Perform one effect in this task, under asyncio or trio."""
    match effect:
        case Send(backend, timeout):
            assert courier is not None
            return await courier.send(backend, timeout)
        case Close(response):
            assert courier is not None
            return await courier.close(response)
        case Race():
            assert courier is not None
            return await race_async(effect, courier)
        case Sleep(seconds):
            return await _sleep_async(seconds)
        case Wait(signal, timeout):
            return await _wait_async(signal, timeout)
        case Call(function, arguments):
            return await _awaited(function(*arguments))
        case Vet(retrying):
            return refuse_blocking(retrying)
        case _:
            assert_never(effect)


def _returned(result: Any, function: object) -> Any:
    """Return a result, which a thread cannot await."""
    if inspect.isawaitable(result):
        if inspect.iscoroutine(result):
            result.close()
        raise ConfigurationError(
            f"{function!r} must be awaited, and a synchronous client cannot: give it "
            f"a synchronous one (tenacity.Retrying, a plain function)"
        )
    return result


async def _awaited(result: Any) -> Any:
    return await result if inspect.isawaitable(result) else result


def _wait(signal: Signal, timeout: float | None) -> bool:
    woken = threading.Event()
    signal.listen(woken.set)
    return woken.wait(timeout)


async def _wait_async(signal: Signal, timeout: float | None) -> bool:
    trio = running_trio()
    if trio is not None:
        return await _wait_trio(trio, signal, timeout)
    return await _wait_asyncio(loaded_asyncio(), signal, timeout)


async def _wait_asyncio(asyncio: Any, signal: Signal, timeout: float | None) -> bool:
    loop = asyncio.get_running_loop()
    woken = asyncio.Event()

    def wake() -> None:
        # The loop may be closed by the time that somebody gives the signal.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(woken.set)

    signal.listen(wake)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(timeout):
            await woken.wait()
    return signal.is_set  # perhaps in the last moment, and nobody was woken


async def _wait_trio(trio: Any, signal: Signal, timeout: float | None) -> bool:
    woken = trio.Event()
    token = trio.lowlevel.current_trio_token()

    def wake() -> None:
        with contextlib.suppress(RuntimeError):  # trio.RunFinishedError
            token.run_sync_soon(woken.set)

    signal.listen(wake)
    with trio.move_on_after(float("inf") if timeout is None else timeout):
        await woken.wait()
    return signal.is_set  # as above


async def _sleep_async(seconds: float) -> None:
    trio = running_trio()
    await (loaded_asyncio() if trio is None else trio).sleep(seconds)
