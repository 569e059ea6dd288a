"""The workers, as threads and as tasks of both loops, on one service at once."""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import gc
import random
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any

import anyio
import trio

from tests.hammer.fleet import Fleet
from tests.hammer.visits import Requests, Worker
from tests.httpx_family.kinds import ASYNCIO_KINDS, SYNC_KINDS, TRIO_KINDS, Kind


@dataclass(frozen=True)
class Size:
    """How many workers there are.

    Attributes:
        threads: For requests, httpx and httpx2 together.
        tasks: Of each loop, for httpx and httpx2 together.
        visits: How many each makes; None for as many as it can.
        longest_thought: Seconds between two visits; by default so many that two cores
            keep up.
    """

    threads: int = 64
    tasks: int = 200
    visits: int | None = None
    longest_thought: float = 5.0


class Crowd:
    """All workers.

    Attributes:
        workers: Each of them.
        leftovers: Tasks that outlived their loop's work.
    """

    def __init__(self, fleet: Fleet, size: Size, seed: int) -> None:
        self._fleet = fleet
        self._size = size
        self._rng = random.Random(seed)
        self._over = threading.Event()
        self.workers: list[Worker] = []
        self.leftovers: list[str] = []
        self._threads: list[threading.Thread] = []
        self._failed: list[BaseException] = []

    def start(self) -> None:
        """Set all to work."""
        for work in (self._in_threads, self._in_asyncio, self._in_trio):
            self._start(work)

    def finish(self, patience: float) -> None:
        """Tell all to stop after their visit, and wait until they did."""
        self._over.set()
        self.join(patience)

    def join(self, patience: float) -> None:
        """Wait until all have ended.

        Raises:
            BaseExceptionGroup: Of what went wrong, if it took longer than so many
                seconds; where all stood is on standard error then.
        """
        ends_at = time.monotonic() + patience
        for thread in self._threads:
            thread.join(max(0.0, ends_at - time.monotonic()))
            if thread.is_alive():
                faulthandler.dump_traceback()
                late = TimeoutError(f"{thread.name} still works after {patience} s")
                self._failed.append(late)
        if self._failed:
            raise BaseExceptionGroup("the crowd failed", self._failed)

    def quiesce(self) -> None:
        """Wait until each visit that is under way has ended."""
        turns = [(worker, worker.turn) for worker in list(self.workers)]
        for worker, turn in turns:
            while turn % 2 and worker.turn == turn and not self._failed:
                time.sleep(0.001)

    def _start(self, work: Callable[[], None]) -> None:
        def run() -> None:
            try:
                work()
            except BaseException as error:  # noqa: BLE001 - join() raises it
                self._failed.append(error)

        thread = threading.Thread(target=run, name=work.__name__, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _hire(self, kind: Kind | Requests, client: Any) -> Worker:
        worker = Worker(self._fleet, kind, client, random.Random(self._rng.random()))
        self.workers.append(worker)
        return worker

    async def _work(self, worker: Worker, think: Callable[[float], Any]) -> None:
        rng = random.Random(self._rng.random())
        made = 0
        while not self._over.is_set() and made != self._size.visits:
            thought = think(rng.uniform(0, self._size.longest_thought))
            if isinstance(thought, Coroutine):
                await thought
            await worker.visit()
            made += 1

    # -- threads -------------------------------------------------------------------

    def _in_threads(self) -> None:
        kinds: list[Kind | Requests] = [Requests(), *SYNC_KINDS]
        transports = [kind.transport(self._fleet.orders) for kind in kinds]
        with contextlib.ExitStack() as stack:
            threads = []
            for number in range(self._size.threads):
                kind = kinds[number % len(kinds)]
                # Each its own, as a session is no good for several threads.
                client = kind.client(transport=transports[number % len(kinds)])
                stack.callback(client.close)
                work = self._work(self._hire(kind, client), self._over.wait)
                threads.append(threading.Thread(target=finish, args=(work,)))
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()

    # -- tasks ---------------------------------------------------------------------

    def _in_asyncio(self) -> None:
        asyncio.run(self._asyncio_tasks())

    async def _asyncio_tasks(self) -> None:
        async with (
            self._async_clients(ASYNCIO_KINDS) as works,
            asyncio.TaskGroup() as group,
        ):
            for work in works:
                group.create_task(work)
        await settle()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        self.leftovers += [repr(task) for task in left]

    def _in_trio(self) -> None:
        trio.run(self._trio_tasks)

    async def _trio_tasks(self) -> None:
        before = trio.lowlevel.current_statistics().tasks_living
        async with (
            self._async_clients(TRIO_KINDS) as works,
            trio.open_nursery() as nursery,
        ):
            for work in works:
                nursery.start_soon(of, work)
        await settle()
        after = trio.lowlevel.current_statistics().tasks_living
        if after > before:
            self.leftovers.append(f"{after - before} of trio's tasks")

    @contextlib.asynccontextmanager
    async def _async_clients(
        self, kinds: list[Kind]
    ) -> AsyncIterator[list[Coroutine[Any, Any, None]]]:
        """Give the work of all tasks of a loop; close their clients after it."""
        async with contextlib.AsyncExitStack() as stack:
            clients = []
            for kind in kinds:
                transport = kind.transport(self._fleet.orders)
                clients.append(
                    (
                        kind,
                        await stack.enter_async_context(
                            kind.client(transport=transport)
                        ),
                    )
                )
            yield [
                self._work(self._hire(*clients[number % len(clients)]), anyio.sleep)
                for number in range(self._size.tasks)
            ]


async def of(work: Awaitable[None]) -> None:
    """Await what trio would rather call."""
    await work


async def settle() -> None:
    """Let the loop close the generators that were left to the collector."""
    gc.collect()
    await anyio.wait_all_tasks_blocked()


def finish(work: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine that awaits nothing to its end."""
    with contextlib.suppress(StopIteration):
        work.send(None)
        raise RuntimeError("a synchronous client awaited something")
