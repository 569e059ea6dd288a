"""One tenacity object of the user's, in many exchanges at once."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anyio
import pytest
import tenacity
from anyio.lowlevel import checkpoint
from tenacity.asyncio import retry_if_result

from lbtransport import Backend, LoadBalancer
from lbtransport._effects import Effect, Send
from tests.core_kit import A, B, Reply, in_flight, make_service
from tests.exchange.kit import IF_503, Client, refused

CROWD = 50
CALLBACKS = ("before", "after", "before_sleep")
# What one exchange notes that fails twice.
THRICE = [(what, n) for n in (1, 2, 3) for what in CALLBACKS][:7]
PATIENCE = 60.0  # seconds, for what takes none


class Failing:
    """What one of the crowd calls: it fails twice, then gives its name."""

    def __init__(self, name: int) -> None:
        self.name = name
        self._errors = [refused(), refused()]

    def __call__(self, backend: Backend) -> int:
        if self._errors:
            raise self._errors.pop()
        return self.name

    async def awaited(self, backend: Backend) -> int:
        await checkpoint()
        return self(backend)


def failing_twice(service: LoadBalancer) -> None:
    assert in_flight(service) == 0
    assert sum(one.total for one in service.stats().backends) == 3 * CROWD


def test_shared_by_threads_it_stays_right() -> None:
    everybody = threading.Barrier(CROWD)
    noted: dict[int, list[tuple[str, int]]] = {}

    def note(what: str) -> Callable[[tenacity.RetryCallState], None]:
        def callback(state: tenacity.RetryCallState) -> None:
            mine = noted.setdefault(threading.get_ident(), [])
            mine.append((what, state.attempt_number))
            everybody.wait(PATIENCE)  # all are in this callback at once

        return callback

    callbacks: dict[str, Any] = {what: note(what) for what in CALLBACKS}
    own = tenacity.Retrying(stop=tenacity.stop_after_attempt(3), **callbacks)
    service = make_service([A, B], retry=own)

    with ThreadPoolExecutor(CROWD) as threads:
        results = threads.map(service.execute, map(Failing, range(CROWD)))

        assert list(results) == list(range(CROWD))
    assert list(noted.values()) == [THRICE] * CROWD
    failing_twice(service)


async def test_shared_by_tasks_it_stays_right_while_callbacks_await() -> None:
    noted: dict[object, list[tuple[str, int]]] = {}

    class Everybody:
        """Lets all go on when all are here."""

        def __init__(self) -> None:
            self._here = 0
            self._go = anyio.Event()

        async def wait(self) -> None:
            self._here += 1
            if self._here == CROWD:
                self._go.set()
            await self._go.wait()

    meetings = {one: Everybody() for one in THRICE}

    def note(what: str) -> Callable[[tenacity.RetryCallState], Awaitable[None]]:
        async def callback(state: tenacity.RetryCallState) -> None:
            one = (what, state.attempt_number)
            noted.setdefault(anyio.get_current_task().id, []).append(one)
            await meetings[one].wait()

        return callback

    callbacks: dict[str, Any] = {what: note(what) for what in CALLBACKS}
    own = tenacity.AsyncRetrying(stop=tenacity.stop_after_attempt(3), **callbacks)
    service = make_service([A, B], retry=own)
    results: list[int] = []

    async def ask(name: int) -> None:
        results.append(await service.execute_async(Failing(name).awaited))

    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as tasks:
            for name in range(CROWD):
                tasks.start_soon(ask, name)

    assert sorted(results) == list(range(CROWD))
    assert list(noted.values()) == [THRICE] * CROWD
    failing_twice(service)


async def test_shared_predicate_that_awaits_sees_each_its_own_answer() -> None:
    async def is_even(answer: int) -> bool:
        await checkpoint()
        return answer % 2 == 0

    own = tenacity.AsyncRetrying(
        stop=tenacity.stop_after_attempt(2), retry=retry_if_result(is_even)
    )
    service, calls, results = make_service([A, B], retry=own), list[int](), list[int]()

    async def ask(name: int) -> None:
        async def call(backend: Backend) -> int:
            calls.append(name)
            await checkpoint()
            return name

        results.append(await service.execute_async(call))

    async with anyio.create_task_group() as tasks:
        for name in range(CROWD):
            tasks.start_soon(ask, name)

    assert sorted(results) == list(range(CROWD))
    assert [calls.count(name) for name in range(CROWD)] == [2, 1] * (CROWD // 2)


def test_exchanges_in_one_thread_do_not_mix() -> None:
    own = tenacity.Retrying(stop=tenacity.stop_after_attempt(3), retry=IF_503)
    client = Client()
    one, other = client.steps(retry=own), client.steps(retry=own)

    def up_to_send(steps: Generator[Effect, Any, Any], effect: Effect) -> None:
        while not isinstance(effect, Send):
            effect = steps.send(None)

    up_to_send(one, next(one))
    up_to_send(other, next(other))
    for _ in range(2):
        up_to_send(one, one.send(Reply(503)))
        up_to_send(other, other.throw(refused()))
    with pytest.raises(ConnectionRefusedError):
        up_to_send(other, other.throw(refused()))
    one.close()
    del one, other

    assert in_flight(client.service) == 0
