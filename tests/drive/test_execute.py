"""A whole request, as a user sees it, by each driver."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest
import tenacity
from anyio.lowlevel import checkpoint
from tenacity.asyncio import retry_if_result

from lbtransport import Backend, LoadBalancer
from tests.core_kit import A, B, in_flight, make_service
from tests.drive.kit import interrupt, make_awaiting


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
