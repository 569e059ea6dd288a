"""A service that threads and tasks of both kinds use at once."""

from __future__ import annotations

import gc
import random
import sys
import threading
from collections.abc import Callable
from typing import Any

import anyio
from anyio.lowlevel import checkpoint

from lbtransport import Backend, LoadBalancer, NoBackendsAvailable, Outcome
from tests.core_kit import URLS, A, in_flight


def hammer(service: LoadBalancer, rng: random.Random, rounds: int) -> None:
    """Use a service in all ways; every request ends in some way."""
    ends: list[Callable[[Any], Any]] = [
        lambda s: s.release(),
        lambda s: s.release(error=ConnectionRefusedError()),
        lambda s: s.release(outcome=Outcome.throttled(s.started_at + 0.001)),
        lambda s: (s.responded(), s.release()),
        lambda s: s.cancel(),
        lambda s: None,  # dropped
        lambda s: [s].append(s),  # dropped
    ]
    for _ in range(rounds):
        try:
            rng.choice(ends)(service.select())
        except NoBackendsAvailable:
            continue


def churn(service: LoadBalancer, rng: random.Random, rounds: int) -> None:
    """Change the list, and what the operator wants, again and again."""
    for _ in range(rounds):
        service.update_backends(rng.sample(URLS, rng.randint(1, len(URLS))))
        url = rng.choice(service.backends)
        for act in (service.drain, lambda url: service.mark_healthy(url, None)):
            try:
                act(url)
            except KeyError:
                continue
        service.stats()
        gc.collect(0)


def test_service_survives_threads_and_tasks_of_both_kinds_at_once() -> None:
    service = LoadBalancer("orders", URLS, rng=random.Random(7))
    failures: list[BaseException] = []

    async def ask(backend: Backend) -> None:
        await checkpoint()
        if backend.url == A:
            raise ConnectionRefusedError

    async def call(rounds: int) -> None:
        for _ in range(rounds):
            try:
                await service.execute_async(ask)
            except (NoBackendsAvailable, ConnectionRefusedError):
                continue

    async def tasks() -> None:
        async with anyio.create_task_group() as group:
            for _ in range(100):
                group.start_soon(call, 5)

    def guarded(work: Callable[..., Any], *arguments: Any, **keywords: Any) -> None:
        try:
            work(*arguments, **keywords)
        except BaseException as error:  # noqa: BLE001 - shown to the test's thread
            failures.append(error)

    works: list[tuple[Any, ...]] = [
        *[(hammer, service, random.Random(n), 150) for n in range(16)],
        *[(churn, service, random.Random(n), 50) for n in range(2)],
    ]
    threads = [threading.Thread(target=guarded, args=work) for work in works]
    threads += [
        threading.Thread(
            target=guarded, args=(anyio.run, tasks), kwargs={"backend": backend}
        )
        for backend in ("asyncio", "trio")
    ]
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    finally:
        sys.setswitchinterval(before)

    assert not any(thread.is_alive() for thread in threads)
    assert failures == []
    gc.collect()
    service.update_backends(URLS)
    assert in_flight(service) == 0
