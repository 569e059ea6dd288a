"""The two drivers do the same: what a generator asks for, and what it gets back."""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import Awaitable, Callable, Generator
from dataclasses import dataclass
from typing import Any, TypeAlias

import anyio
import pytest
import tenacity
import trio
from anyio.lowlevel import checkpoint
from tenacity.asyncio import retry_if_result

from lbtransport import Backend, ConfigurationError, LoadBalancer
from lbtransport._drive import drive, drive_async
from lbtransport._effects import (
    Call,
    Check,
    Close,
    Effect,
    Resolve,
    Send,
    Sleep,
    Wait,
)
from lbtransport._types import Signal
from tests.helpers_core import A, B, Reply, in_flight, make_service

BACKEND = Backend(A)
PATIENCE = 10.0  # seconds, for what takes none

Trace: TypeAlias = list[tuple[str, object]]
Steps: TypeAlias = Generator[Effect, Any, Any]


def ask_for(*effects: Effect, trace: Trace) -> Steps:
    """Yield effects; note what each of them came to."""
    for effect in effects:
        name = type(effect).__name__
        try:
            result = yield effect
        except BaseException as error:  # noqa: BLE001 - also what is no Exception
            trace.append((name, type(error).__name__))
        else:
            trace.append((name, result))
    return "the end"


@dataclass
class Courier:
    """Answers a request with the backend and the timeout; `error` spoils everything."""

    error: BaseException | None = None

    def send(self, backend: Backend, timeout: float | None) -> Any:
        if self.error is not None:
            raise self.error
        return (backend.url, timeout)

    def close(self, response: Any) -> None:
        if self.error is not None:
            raise self.error
        response.closed += 1


@dataclass
class AsyncCourier:
    """The same for tasks."""

    error: BaseException | None = None

    async def send(self, backend: Backend, timeout: float | None) -> Any:
        await checkpoint()
        return Courier(self.error).send(backend, timeout)

    async def close(self, response: Any) -> None:
        await checkpoint()
        Courier(self.error).close(response)


def run_sync(
    make: Callable[[Trace], Steps], error: BaseException | None
) -> tuple[Any, Trace]:
    trace: Trace = []
    return drive(make(trace), Courier(error)), trace


def run_async(
    backend: str, make: Callable[[Trace], Steps], error: BaseException | None
) -> tuple[Any, Trace]:
    trace: Trace = []
    end = anyio.run(drive_async, make(trace), AsyncCourier(error), backend=backend)
    return end, trace


DRIVERS: dict[str, Callable[..., tuple[Any, Trace]]] = {
    "threads": run_sync,
    "asyncio": functools.partial(run_async, "asyncio"),
    "trio": functools.partial(run_async, "trio"),
}
every_driver = pytest.mark.parametrize("driver", DRIVERS)


def given_signal() -> Signal:
    signal = Signal()
    signal.set()
    return signal


def fail() -> Any:
    raise ZeroDivisionError


def fail_for(backend: Backend) -> Any:
    raise ZeroDivisionError


def interrupt(*arguments: object) -> Any:
    raise KeyboardInterrupt


class Discovery:
    """Finds one backend, or fails."""

    def __init__(self, resolve: Callable[[], Any] = lambda: [BACKEND]) -> None:
        self.resolve = resolve


SCRIPTS: dict[str, tuple[Effect, object]] = {
    "send": (Send(BACKEND, 1.5), (A, 1.5)),
    "send without a timeout": (Send(BACKEND, None), (A, None)),
    "close": (Close(Reply()), None),
    "sleep": (Sleep(0.0), None),
    "wait for what was": (Wait(given_signal(), PATIENCE), True),
    "wait for ever for what was": (Wait(given_signal(), None), True),
    "wait in vain": (Wait(Signal(), 0.0), False),
    "call": (Call(pow, (2, 5)), 32),
    "call without arguments": (Call(dict), {}),
    "check": (Check(lambda backend: backend.url, BACKEND), A),
    "resolve": (Resolve(Discovery()), [BACKEND]),
    "call that fails": (Call(fail), "ZeroDivisionError"),
    "call that is interrupted": (Call(interrupt), "KeyboardInterrupt"),
    "check that fails": (Check(fail_for, BACKEND), "ZeroDivisionError"),
    "resolve that fails": (Resolve(Discovery(fail)), "ZeroDivisionError"),
}


@every_driver
@pytest.mark.parametrize("script", SCRIPTS)
def test_effect_comes_to_the_same_everywhere(driver: str, script: str) -> None:
    effect, result = SCRIPTS[script]

    end, trace = DRIVERS[driver](lambda trace: ask_for(effect, trace=trace), None)

    assert end == "the end"
    assert trace == [(type(effect).__name__, result)]


@every_driver
def test_script_of_everything_gives_the_same_trace(driver: str) -> None:
    effects = [effect for effect, _ in SCRIPTS.values()]

    end, trace = DRIVERS[driver](lambda trace: ask_for(*effects, trace=trace), None)

    assert end == "the end"
    assert trace == [(type(e).__name__, result) for e, result in SCRIPTS.values()]


@every_driver
@pytest.mark.parametrize(
    "error",
    [ConnectionRefusedError(), ValueError(), KeyboardInterrupt(), SystemExit()],
    ids=lambda error: type(error).__name__,
)
def test_what_a_courier_raises_is_thrown_in(driver: str, error: BaseException) -> None:
    reply = Reply()

    end, trace = DRIVERS[driver](
        lambda trace: ask_for(Send(BACKEND, None), Close(reply), trace=trace), error
    )

    assert end == "the end"
    assert trace == [("Send", type(error).__name__), ("Close", type(error).__name__)]
    assert reply.closed == 0


@every_driver
def test_discarded_response_is_closed(driver: str) -> None:
    reply = Reply()

    DRIVERS[driver](lambda trace: ask_for(Close(reply), trace=trace), None)

    assert reply.closed == 1


def raise_at_once(error: BaseException) -> Steps:
    yield Call(dict)
    raise error


@every_driver
@pytest.mark.parametrize("error", [ValueError("bug"), KeyboardInterrupt()])
def test_what_the_generator_raises_leaves_the_driver(
    driver: str, error: BaseException
) -> None:
    with pytest.raises(type(error)) as caught:
        DRIVERS[driver](lambda trace: raise_at_once(error), None)

    assert caught.value is error


def return_at_once() -> Steps:
    yield from ()
    return 42


@every_driver
def test_generator_that_asks_for_nothing_is_at_its_end(driver: str) -> None:
    end, _ = DRIVERS[driver](lambda trace: return_at_once(), None)

    assert end == 42


def recover(trace: Trace) -> Steps:
    try:
        yield Call(fail)
    except ZeroDivisionError:
        recovered = yield Call(pow, (2, 2))
        return recovered
    raise AssertionError


@every_driver
def test_generator_may_go_on_after_an_error(driver: str) -> None:
    end, _ = DRIVERS[driver](recover, None)

    assert end == 4


# Waiting


def wait_for(signal: Signal, timeout: float | None) -> Steps:
    came = yield Wait(signal, timeout)
    return came


@every_driver
@pytest.mark.parametrize("timeout", [PATIENCE, None])
def test_signal_of_another_thread_wakes(driver: str, timeout: float | None) -> None:
    signal = Signal()
    setter = threading.Thread(target=signal.set)

    def wait(trace: Trace) -> Steps:
        yield Call(setter.start)
        return (yield from wait_for(signal, timeout))

    came, _ = DRIVERS[driver](wait, None)

    setter.join()
    assert came is True


class Noticed(Signal):
    """A signal that tells when somebody listens."""

    def __init__(self) -> None:
        super().__init__()
        self.is_heard = threading.Event()

    def listen(self, callback: Callable[[], None]) -> None:
        super().listen(callback)
        self.is_heard.set()


@every_driver
def test_signal_wakes_one_who_waits_already(driver: str) -> None:
    signal = Noticed()

    def give() -> None:
        assert signal.is_heard.wait(PATIENCE)
        signal.set()

    setter = threading.Thread(target=give)
    setter.start()
    came, _ = DRIVERS[driver](lambda trace: wait_for(signal, None), None)

    setter.join()
    assert came is True


@every_driver
def test_signal_given_by_the_waiter_itself_wakes(driver: str) -> None:
    signal = Signal()

    def wait(trace: Trace) -> Steps:
        yield Call(signal.set)
        return (yield from wait_for(signal, PATIENCE))

    came, _ = DRIVERS[driver](wait, None)

    assert came is True


@every_driver
def test_signal_that_comes_too_late_harms_nobody(driver: str) -> None:
    signal = Signal()

    came, _ = DRIVERS[driver](lambda trace: wait_for(signal, 0.0), None)
    signal.set()  # the loop is closed by now

    assert came is False


async def test_waiting_task_lets_others_run() -> None:
    signal, came = Signal(), list[bool]()

    async def wait() -> None:
        came.append(await drive_async(wait_for(signal, None)))

    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(wait)
        await anyio.wait_all_tasks_blocked()
        signal.set()

    assert came == [True] * 3


async def test_waiting_task_can_be_cancelled() -> None:
    signal, came = Signal(), list[bool]()

    async def wait() -> None:
        came.append(await drive_async(wait_for(signal, None)))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wait)
        await anyio.wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()
    signal.set()

    assert came == []


async def test_sleeping_task_can_be_cancelled() -> None:
    trace: Trace = []

    with anyio.CancelScope() as scope:
        scope.cancel()
        await drive_async(ask_for(Sleep(3600.0), trace=trace))

    ((_, error),) = trace
    assert error in {"CancelledError", "Cancelled"}


# What must be awaited


async def double(number: int) -> int:
    await checkpoint()
    return 2 * number


async def failing(*arguments: object) -> None:
    await checkpoint()
    raise ZeroDivisionError


async def url_of(backend: Backend) -> str:
    return backend.url


async def backends() -> list[Backend]:
    return [BACKEND]


class Awaitful:
    """An awaitable that is no coroutine."""

    def __await__(self) -> Generator[Any, Any, int]:
        yield from ()
        return 7


AWAITED: dict[str, tuple[Effect, object]] = {
    "call": (Call(double, (4,)), 8),
    "call that fails": (Call(failing), "ZeroDivisionError"),
    "check": (Check(url_of, BACKEND), A),
    "resolve": (Resolve(Discovery(backends)), [BACKEND]),
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


def test_thread_refuses_a_sleep_that_must_be_awaited() -> None:
    with pytest.raises(ConfigurationError, match="must be awaited"):
        drive(ask_again(Sleep(0.0, asyncio.sleep)))


def test_thread_sleeps_as_it_is_told() -> None:
    slept: list[float] = []

    drive(ask_again(Sleep(3.0, slept.append)))

    assert slept == [3.0]


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


async def test_task_refuses_a_sleep_that_would_block_it() -> None:
    slept: list[float] = []

    with pytest.raises(ConfigurationError, match="would block the event loop"):
        await drive_async(ask_again(Sleep(3.0, slept.append)))

    assert slept == []


# A whole request, as a user sees it


def run_thread(service: LoadBalancer, fn: Callable[[Backend], Any]) -> Any:
    return service.execute(fn)


def run_task(backend: str, service: LoadBalancer, fn: Callable[[Backend], Any]) -> Any:
    async def call(backend: Backend) -> Any:
        await checkpoint()
        return fn(backend)

    return anyio.run(service.execute_async, call, backend=backend)


EXECUTORS: dict[str, Callable[[LoadBalancer, Callable[[Backend], Any]], Any]] = {
    "threads": run_thread,
    "asyncio": functools.partial(run_task, "asyncio"),
    "trio": functools.partial(run_task, "trio"),
}
every_executor = pytest.mark.parametrize("executor", EXECUTORS)


@every_executor
def test_call_is_repeated_on_an_untried_backend(executor: str) -> None:
    service, called = make_service([A, B]), list[str]()

    def call(backend: Backend) -> str:
        called.append(backend.url)
        if len(called) == 1:
            raise ConnectionRefusedError
        return backend.url

    result = EXECUTORS[executor](service, call)

    assert sorted(called) == [A, B]
    assert result == called[-1]
    assert in_flight(service) == 0


@every_executor
def test_call_that_is_interrupted_gives_its_backend_back(executor: str) -> None:
    service = make_service([A, B])

    with pytest.raises(KeyboardInterrupt):
        EXECUTORS[executor](service, interrupt)

    assert in_flight(service) == 0
    assert [b.failures for b in service.stats().backends] == [0, 0]


async def test_cancelled_call_gives_its_backend_back() -> None:
    service = make_service([A])

    async def hang(backend: Backend) -> None:
        await anyio.sleep_forever()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(service.execute_async, hang)
        await anyio.wait_all_tasks_blocked()
        assert in_flight(service) == 1
        tasks.cancel_scope.cancel()

    assert in_flight(service) == 0
    assert service.stats().backends[0].failures == 0


def make_awaiting(**options: Any) -> tenacity.AsyncRetrying:
    return tenacity.AsyncRetrying(stop=tenacity.stop_after_attempt(3), **options)


async def test_awaiting_callbacks_of_one_object_do_not_mix_up_its_calls() -> None:
    noted: list[tuple[str, int]] = []

    def note(what: str) -> Callable[[tenacity.RetryCallState], Awaitable[None]]:
        async def callback(state: tenacity.RetryCallState) -> None:
            await checkpoint()
            noted.append((what, state.attempt_number))

        return callback

    service = make_service(
        [A],
        retry=make_awaiting(
            before=note("before"), after=note("after"), before_sleep=note("sleep")
        ),
    )
    results: list[str] = []

    async def ask(name: str) -> None:
        calls: list[None] = []

        async def call(backend: Backend) -> str:
            await checkpoint()
            calls.append(None)
            if len(calls) < 3:
                raise ConnectionRefusedError
            return name

        results.append(await service.execute_async(call))

    names = [str(number) for number in range(20)]
    async with anyio.create_task_group() as tasks:
        for name in names:
            tasks.start_soon(ask, name)

    assert sorted(results) == sorted(names)
    expected = [("before", n) for n in (1, 2, 3)]
    expected += [(what, n) for what in ("after", "sleep") for n in (1, 2)]
    assert sorted(noted) == sorted(expected * 20)


async def test_awaiting_object_sleeps_as_it_is_told() -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        await checkpoint()
        slept.append(seconds)

    retrying = make_awaiting(wait=tenacity.wait_fixed(3600), sleep=sleep)
    service = make_service([A], retry=retrying)

    with pytest.raises(ConnectionRefusedError):
        await service.execute_async(refuse)

    assert slept == [3600.0, 3600.0]


async def test_awaiting_object_sleeps_by_itself_under_both() -> None:
    service = make_service([A], retry=make_awaiting())

    with pytest.raises(ConnectionRefusedError):
        await service.execute_async(refuse)

    assert service.stats().backends[0].total == 3


async def test_synchronous_object_serves_tasks_too() -> None:
    retrying = tenacity.Retrying(stop=tenacity.stop_after_attempt(2))
    service = make_service([A], retry=retrying)

    with pytest.raises(ConnectionRefusedError):
        await service.execute_async(refuse)

    assert service.stats().backends[0].total == 2


async def test_synchronous_sleep_is_refused_by_a_task() -> None:
    retrying = tenacity.Retrying(
        stop=tenacity.stop_after_attempt(2), sleep=lambda seconds: None
    )
    service = make_service([A], retry=retrying)

    with pytest.raises(ConfigurationError, match="would block the event loop"):
        await service.execute_async(refuse)

    assert in_flight(service) == 0


async def refuse(backend: Backend) -> None:
    await checkpoint()
    raise ConnectionRefusedError


async def test_predicate_that_awaits_decides() -> None:
    async def is_none(result: object) -> bool:
        await checkpoint()
        return result is None

    service = make_service([A, B], retry=make_awaiting(retry=retry_if_result(is_none)))
    results = [None, "there"]

    async def call(backend: Backend) -> str | None:
        return results.pop(0)

    assert await service.execute_async(call) == "there"


def test_trio_is_told_from_asyncio_by_its_task() -> None:
    """With trio imported, asyncio is still itself: other tests import both."""
    assert trio.lowlevel.in_trio_run() is False
    signal = Signal()

    assert anyio.run(drive_async, wait_for(signal, 0.0), backend="asyncio") is False
