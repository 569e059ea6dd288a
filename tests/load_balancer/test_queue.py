"""One queue for threads, asyncio and trio."""

from __future__ import annotations

import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import anyio
from anyio.lowlevel import checkpoint

from lbtransport import Backend, LoadBalancer
from tests.core_kit import A, B, in_flight

ROOM = 2
THREADS = 8
TASKS = 20  # of each loop
VISITS = 10  # of each of them


class Crowd:
    """Asks a service from everywhere at once.

    Attributes:
        most: The most requests that a backend had at once.
        done: Requests that were served.
        given_up: Requests whose task was cancelled.
        failures: What must not happen.
    """

    def __init__(self) -> None:
        self.service = LoadBalancer(
            "orders", [A, B], max_in_flight=ROOM, max_queued=1000, queue_timeout=60.0
        )
        self._lock = threading.Lock()
        self._inside: Counter[str] = Counter()
        self.most = 0
        self.done = 0
        self.given_up = 0
        self.failures: list[BaseException] = []

    def enter(self, backend: Backend) -> None:
        with self._lock:
            self._inside[backend.url] += 1
            self.most = max(self.most, self._inside[backend.url])

    def leave(self, backend: Backend) -> None:
        with self._lock:
            self._inside[backend.url] -= 1

    def visit(self, backend: Backend) -> None:
        self.enter(backend)
        time.sleep(0)
        self.leave(backend)

    async def visit_async(self, backend: Backend) -> None:
        self.enter(backend)
        try:
            await checkpoint()
        finally:
            self.leave(backend)

    def in_a_thread(self) -> None:
        for _ in range(VISITS):
            self.service.execute(self.visit)
            with self._lock:
                self.done += 1

    async def in_a_task(self, patience: float | None) -> None:
        for _ in range(VISITS):
            with anyio.move_on_after(patience) as scope:
                await self.service.execute_async(self.visit_async)
            with self._lock:
                self.given_up += scope.cancelled_caught
                self.done += not scope.cancelled_caught

    async def in_tasks(self) -> None:
        async with anyio.create_task_group() as group:
            for number in range(TASKS):
                patience = number / 1000 if number % 2 else None
                group.start_soon(self.in_a_task, patience)

    def run(self, work: Callable[..., Any], *arguments: Any, **options: Any) -> None:
        try:
            work(*arguments, **options)
        except BaseException as error:  # noqa: BLE001 - shown to the test's thread
            self.failures.append(error)


def test_one_queue_serves_threads_and_tasks_of_both_kinds_at_once() -> None:
    crowd = Crowd()
    works: list[tuple[Any, ...]] = [(crowd.in_a_thread,)] * THREADS
    works += [(anyio.run, crowd.in_tasks)] * 2
    backends: list[dict[str, str]] = [{}] * THREADS + [
        {"backend": "asyncio"},
        {"backend": "trio"},
    ]
    threads = [
        threading.Thread(target=crowd.run, args=work, kwargs=options, daemon=True)
        for work, options in zip(works, backends, strict=True)
    ]
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(240)  # bounded; a busy machine takes its time
    finally:
        sys.setswitchinterval(before)

    assert not any(thread.is_alive() for thread in threads)
    assert crowd.failures == []
    assert crowd.done + crowd.given_up == VISITS * (THREADS + 2 * TASKS)
    assert crowd.done >= VISITS * (THREADS + TASKS)
    assert crowd.most == ROOM
    assert (crowd.service.stats().queued, in_flight(crowd.service)) == (0, 0)
    assert crowd.service.core.announcer.watchers == []
