"""Where the upkeep of balancers runs: one daemon thread, or the user's own loop.

A process has at most one such thread, with an asyncio loop of its own, for all its
balancers; it is there while one of them has something to do.
It is importing this module that costs (asyncio, ssl, http.client), so whoever needs
it imports it when he does.

Not here: what is to be done (`_upkeep`), and for which balancer (`_checking`).
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import functools
import logging
import os
import selectors
import socket
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

from lbtransport._drive import drive_async
from lbtransport._forks import call_in_child
from lbtransport._loops import running_trio
from lbtransport._probes import in_thread
from lbtransport._upkeep import Start, Steps
from lbtransport._wires import close_inherited

logger = logging.getLogger("lbtransport.health")

Work: TypeAlias = Callable[[Start], Steps]
"""Makes the generator of what is to be done, given what runs others beside it."""

_PATIENCE = 5.0  # seconds to wait for the thread, which a user's function may block
_LAST_PATIENCE = 1.0  # seconds, when the interpreter exits


async def _run(steps: Steps) -> None:
    """Run a generator to its end; what goes wrong in it is nobody else's end."""
    try:
        await drive_async(steps)
    except Exception:
        logger.exception("background work died")


class _Tasks:
    """Generators that run side by side in an asyncio loop."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()  # also keeps them from the GC

    def start(self, steps: Steps) -> None:
        task = asyncio.get_running_loop().create_task(_run(steps))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def stop(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


# -- the user's own loop --------------------------------------------------------------


@asynccontextmanager
async def in_own_loop(work: Work) -> AsyncIterator[None]:
    """Do `work` in the loop of the caller, asyncio's or trio's, inside the block."""
    trio = running_trio()
    if trio is not None:
        async with _in_trio(trio, work):
            yield
        return
    tasks = _Tasks()
    tasks.start(work(tasks.start))
    try:
        yield
    finally:
        await tasks.stop()


@asynccontextmanager
async def _in_trio(trio: Any, work: Work) -> AsyncIterator[None]:
    scope, ended = trio.CancelScope(), trio.Event()

    async def run() -> None:
        try:
            with scope:
                async with trio.open_nursery() as nursery:

                    def start(steps: Steps) -> None:
                        nursery.start_soon(_run, steps)

                    start(work(start))
        finally:
            ended.set()

    # Not a nursery around the block: it would wrap what the block raises in a group.
    trio.lowlevel.spawn_system_task(run)
    try:
        yield
    finally:
        scope.cancel()
        with trio.CancelScope(shield=True):
            await ended.wait()


# -- the thread -----------------------------------------------------------------------


class _Loop(asyncio.SelectorEventLoop):
    """A loop whose name resolution keeps no interpreter from exiting."""

    async def getaddrinfo(self, host: Any, port: Any, **hints: int) -> Any:
        """Resolve in the small pool; the default is one whose threads are joined."""
        resolve = functools.partial(socket.getaddrinfo, host, port, **hints)
        return await in_thread(resolve)


class Job:
    """The work of one balancer, in the thread.

    Attributes:
        loop: Where it runs.
        thread: The thread of that loop.
        ended: Set when all of it is over.
    """

    def __init__(self, work: Work, loop: _Loop, thread: threading.Thread) -> None:
        """Be ready to begin."""
        self._work = work
        self._tasks = _Tasks()
        self.loop = loop
        self.thread = thread
        self.ended = threading.Event()

    def begin(self) -> None:
        """Begin, in the loop."""
        self._tasks.start(self._work(self._tasks.start))

    async def end(self) -> None:
        """Cancel all of it, in the loop."""
        await self._tasks.stop()


class Background:
    """The thread of a process, and the jobs in it.  Thread-safe."""

    def __init__(self) -> None:
        """Have nothing to do, and so no thread."""
        self._inherited: list[object] = []
        self._forget()

    def _forget(self) -> None:
        self._lock = threading.Lock()
        self._jobs: set[Job] = set()  # guarded by _lock
        self._loop: _Loop | None = None  # guarded by _lock
        self._thread: threading.Thread | None = None  # guarded by _lock
        self._selector: selectors.BaseSelector | None = None  # guarded by _lock

    def start(self, work: Work) -> Job:
        """Have work done until it is stopped."""
        with self._lock:
            if self._loop is None or self._thread is None:
                self._selector = selectors.DefaultSelector()
                self._loop = _Loop(self._selector)
                self._thread = threading.Thread(
                    target=_run_loop,
                    args=(self._loop,),
                    name="lbtransport-background",
                    daemon=True,
                )
                self._thread.start()
            job = Job(work, self._loop, self._thread)
            self._jobs.add(job)
            job.loop.call_soon_threadsafe(job.begin)
        return job

    def stop(self, job: Job, patience: float = _PATIENCE) -> None:
        """Stop a job; return when nothing is left of it, nor of the thread if unused.

        From the thread itself, where it cannot be waited for, it only asks for that.
        """
        self.ask_to_stop(job)
        if threading.current_thread() is job.thread:
            return
        if job.ended.wait(patience) and self._thread is not job.thread:
            job.thread.join(patience)

    def ask_to_stop(self, job: Job) -> None:
        """Have a job stopped soon; takes no lock, so a finaliser may call it."""
        with contextlib.suppress(RuntimeError):  # the loop is closed already
            job.loop.call_soon_threadsafe(self._stop_in_loop, job)

    def _stop_in_loop(self, job: Job) -> None:
        task = job.loop.create_task(self._end(job))
        task.add_done_callback(lambda _: job.ended.set())

    async def _end(self, job: Job) -> None:
        await job.end()
        with self._lock:
            self._jobs.discard(job)
            if not self._jobs and self._loop is job.loop:
                self._loop = self._thread = self._selector = None
                job.loop.stop()

    def stop_all(self) -> None:
        """Stop everything, since the interpreter exits; a stuck function is left."""
        for job in list(self._jobs):
            self.stop(job, _LAST_PATIENCE)

    def reset_after_fork(self) -> None:
        """Let go, in the child, of what is the parent's; jobs are started anew."""
        selector = self._selector
        if selector is not None:
            # None of it is destroyed: what asyncio does then, and what it says of it,
            # is for a loop that can still run.
            self._inherited += [self._loop, self._jobs, dict(selector.get_map())]
            _part_from(selector)
            close_inherited()
        self._forget()


def _run_loop(loop: _Loop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
        # What was aborted last is closed in the next round.
        loop.run_until_complete(asyncio.sleep(0))
    finally:
        loop.close()


def _part_from(selector: selectors.BaseSelector) -> None:
    """Give up the connections of the parent's loop, and disturb it in nothing.

    Closing the loop would unregister them from the parent's epoll, which is shared.
    Their numbers stay taken, by nothing: whoever closes one later closes no other's.
    """
    nothing = os.open(os.devnull, os.O_RDWR)
    for key in selector.get_map().values():
        os.dup2(nothing, key.fd)
    os.close(nothing)
    selector.close()


background = Background()
"""The one of this process."""

atexit.register(background.stop_all)
call_in_child(background.reset_after_fork)
