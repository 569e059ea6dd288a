"""Races: one request on its way to two backends, and the first good answer wins.

In tasks the loser is cancelled.
In threads nothing can be: a thread that waits for a socket waits on, so each leg runs
in a thread of its own, and the loser's closes what comes too late.
That takes a tenth of a millisecond for each request that may be raced; there are at
most so many such threads, and when all are busy there is no race.

Not here: which requests are raced, and after which delay (`_hedge`).
"""

from __future__ import annotations

import contextvars
import logging
import os
import queue
import threading
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, Self

from lbtransport._effects import Leg, Race, Send
from lbtransport._loops import loaded_asyncio, running_trio
from lbtransport._types import Backend

logger = logging.getLogger("lbtransport.retry")

_MOST_THREADS = 64


class Runner(Protocol):
    """A courier that can send the same request twice at once."""

    def send(self, backend: Backend, timeout: float | None) -> Any:
        """Send the request to `backend`; return the response, its body unread."""
        ...

    def close(self, response: Any) -> Any:
        """Close a response that nobody will see."""
        ...

    def twin(self) -> Self:
        """Return another courier of the same request."""
        ...

    def adopt(self, twin: Self) -> None:
        """Go on as `twin`, which sent what is handed to the caller."""
        ...


class Threads:
    """The threads of all races of this process."""

    def __init__(self) -> None:
        """Have none."""
        self.reset()

    def reset(self) -> None:
        """Have none, in the child of a fork."""
        self._places = threading.BoundedSemaphore(_MOST_THREADS)

    def start(self, work: Callable[[], None]) -> bool:
        """Call `work` in a thread, with this one's context; False if all are busy."""
        places = self._places
        if not places.acquire(blocking=False):
            return False

        def run() -> None:
            try:
                work()
            finally:
                places.release()

        context = contextvars.copy_context()
        # Daemons: whoever leaves the program does not wait for a loser.
        threading.Thread(
            target=context.run, args=(run,), name="lbtransport-race", daemon=True
        ).start()
        return True


threads = Threads()

if hasattr(os, "register_at_fork"):  # pragma: no branch - Windows has no fork
    os.register_at_fork(after_in_child=threads.reset)


class _Heat:
    """One race in threads."""

    def __init__(self, courier: Runner) -> None:
        self._courier = courier
        self._lock = threading.Lock()
        self._is_over = False  # guarded by _lock
        self.twins: list[Runner] = []
        self.ended: queue.SimpleQueue[Leg] = queue.SimpleQueue()

    def start(self, send: Send) -> bool:
        """Let a leg begin; False if there is no thread for it."""
        number, twin = len(self.twins), self._courier.twin()

        def run() -> None:
            leg = _run(number, send, twin)
            with self._lock:
                if not self._is_over:
                    self.ended.put(leg)
                    return
            _close(leg, twin)

        if not threads.start(run):
            return False
        self.twins.append(twin)
        return True

    def end(self) -> None:
        """Leave those that still run to themselves."""
        with self._lock:
            self._is_over = True
        while not self.ended.empty():
            leg = self.ended.get()
            _close(leg, self.twins[leg.number])


def race(effect: Race, courier: Runner) -> list[Leg]:
    """Run a race in threads; return the legs that ended, the one that counts last."""
    heat = _Heat(courier)
    if not heat.start(effect.first):
        return [_run(0, effect.first, courier)]
    legs: list[Leg] = []
    try:
        try:
            leg = heat.ended.get(timeout=effect.delay)
        except queue.Empty:
            extra = effect.extra()
            if extra is not None:
                heat.start(extra)
            leg = heat.ended.get()
        legs.append(leg)
        while not _is_decided(effect, legs, started=len(heat.twins)):
            legs.append(heat.ended.get())
    finally:
        heat.end()
    *lost, kept = legs
    for leg in lost:
        _close(leg, heat.twins[leg.number])
    courier.adopt(heat.twins[kept.number])
    return legs


async def race_async(effect: Race, courier: Runner) -> list[Leg]:
    """Run a race in tasks; return the legs that ended, the one that counts last."""
    trio = running_trio()
    if trio is not None:
        return await _race_trio(trio, effect, courier)
    return await _race_asyncio(loaded_asyncio(), effect, courier)


async def _race_asyncio(asyncio: Any, effect: Race, courier: Runner) -> list[Leg]:
    ended: Any = asyncio.Queue()
    tasks: list[Any] = []
    twins: list[Runner] = []

    def start(send: Send) -> None:
        number, twin = len(twins), courier.twin()
        twins.append(twin)

        async def run() -> None:
            ended.put_nowait(await _run_async(number, send, twin))

        tasks.append(asyncio.ensure_future(run()))

    async def next_ended(timeout: float | None) -> Leg | None:
        try:
            leg: Leg = await asyncio.wait_for(ended.get(), timeout)
        except TimeoutError:
            return None
        return leg

    try:
        legs = await _run_heat(effect, start, next_ended)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        late = [ended.get_nowait() for _ in range(ended.qsize())]
        for leg in late:
            await _close_async(leg, twins[leg.number])
    await _keep_last(legs, twins, courier)
    return legs


async def _race_trio(trio: Any, effect: Race, courier: Runner) -> list[Leg]:
    put, ended = trio.open_memory_channel(2)
    twins: list[Runner] = []
    legs: list[Leg] = []
    errors: list[Exception] = []

    def start(send: Send) -> None:
        number, twin = len(twins), courier.twin()
        twins.append(twin)

        async def run() -> None:
            put.send_nowait(await _run_async(number, send, twin))

        nursery.start_soon(run)

    async def next_ended(timeout: float | None) -> Leg | None:
        legs: list[Leg] = []
        with trio.move_on_after(float("inf") if timeout is None else timeout):
            legs.append(await ended.receive())
        return legs.pop() if legs else None

    try:
        async with trio.open_nursery() as nursery:
            try:
                legs = await _run_heat(effect, start, next_ended)
            except Exception as error:  # noqa: BLE001 - the nursery would wrap it
                errors.append(error)
            nursery.cancel_scope.cancel()
    finally:
        while ended.statistics().current_buffer_used:
            leg = ended.receive_nowait()
            await _close_async(leg, twins[leg.number])
    if errors:
        raise errors.pop()
    await _keep_last(legs, twins, courier)
    return legs


async def _run_heat(
    effect: Race,
    start: Callable[[Send], None],
    next_ended: Callable[[float | None], Awaitable[Leg | None]],
) -> list[Leg]:
    """Run a race to where it is decided; the rest is to be cancelled."""
    started = 1
    start(effect.first)
    leg = await next_ended(effect.delay)
    if leg is None:
        extra = effect.extra()
        if extra is not None:
            start(extra)
            started = 2
        leg = await next_ended(None)
    assert leg is not None  # without a timeout there is one
    legs = [leg]
    while not _is_decided(effect, legs, started=started):
        leg = await next_ended(None)
        assert leg is not None
        legs.append(leg)
    return legs


async def _keep_last(legs: list[Leg], twins: list[Runner], courier: Runner) -> None:
    *lost, kept = legs
    for leg in lost:
        await _close_async(leg, twins[leg.number])
    courier.adopt(twins[kept.number])


def _is_decided(effect: Race, legs: list[Leg], *, started: int) -> bool:
    last = legs[-1]
    return len(legs) == started or (
        last.error is None and effect.is_welcome(last.response)
    )


def _run(number: int, send: Send, courier: Runner) -> Leg:
    try:
        return Leg(number, response=courier.send(send.backend, send.timeout))
    except BaseException as error:  # noqa: BLE001 - raised where the race was begun
        return Leg(number, error=error)


async def _run_async(number: int, send: Send, courier: Runner) -> Leg:
    try:
        response = await courier.send(send.backend, send.timeout)
    except Exception as error:  # noqa: BLE001 - raised where the race was begun
        return Leg(number, error=error)
    return Leg(number, response=response)


def _close(leg: Leg, courier: Runner) -> None:
    try:
        if leg.error is None:
            courier.close(leg.response)
    except Exception:
        logger.debug("closing the response that lost a race failed", exc_info=True)


async def _close_async(leg: Leg, courier: Runner) -> None:
    try:
        if leg.error is None:
            await courier.close(leg.response)
    except Exception:
        logger.debug("closing the response that lost a race failed", exc_info=True)
