"""Races: one request on its way to two backends, and the first good answer wins.

In tasks the loser is cancelled.
In threads nothing can be: a thread that waits for a socket waits on, so each leg runs
in a thread of its own, and the loser's closes what comes too late.
That takes a tenth of a millisecond for each request that may be raced; there are at
most so many such threads, and when all are busy there is no race.

Not here: which requests are raced, and after which delay (`_hedge`).
"""

from __future__ import annotations

import contextlib
import contextvars
import logging
import queue
import threading
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Protocol, Self

from lbtransport._effects import Leg, Race, Send
from lbtransport._forks import call_in_child
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
        try:
            # Daemons: whoever leaves the program does not wait for a loser.
            threading.Thread(
                target=context.run, args=(run,), name="lbtransport-race", daemon=True
            ).start()
        except RuntimeError:  # the system gives no more of them
            places.release()
            return False
        return True


threads = Threads()

call_in_child(threads.reset)


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
        self.twins.append(twin)  # first: an interrupt may come once it runs

        def run() -> None:
            leg = _run(number, send, twin)
            with self._lock:
                if not self._is_over:
                    self.ended.put(leg)
                    return
            _close(leg, twin)

        if threads.start(run):
            return True
        self.twins.pop()
        return False

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
    legs: list[Leg] = []
    lost = legs
    try:
        if not heat.start(effect.first):
            return [_run(0, effect.first, courier)]
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
        *lost, kept = legs
    finally:
        heat.end()
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


class _TaskHeat:
    """One race in tasks.

    A leg that ended is here until it is closed or handed over, so that none is lost
    where the caller's task is cancelled: while it waits for the other leg, for a loser
    to end, or for a loser's response to close.
    """

    def __init__(self, courier: Runner, tell: Callable[[Leg], None]) -> None:
        self._courier = courier
        self._tell = tell
        self._twins: list[Runner] = []
        self._ended: dict[int, Leg] = {}
        self._legs: list[Leg] = []
        self._error: Exception | None = None

    def leg(self, send: Send) -> Coroutine[Any, Any, None]:
        """Return the next leg, to be run in a task of its own."""
        number, twin = len(self._twins), self._courier.twin()
        self._twins.append(twin)

        async def run() -> None:
            leg = self._ended[number] = await _run_async(number, send, twin)
            self._tell(leg)

        return run()

    async def decide(
        self,
        effect: Race,
        start: Callable[[Send], object],
        next_ended: Callable[[float | None], Awaitable[Leg | None]],
    ) -> None:
        """Run to where it is decided; the rest is to be cancelled."""
        try:
            self._legs = await _run_heat(effect, start, next_ended)
        except Exception as error:  # noqa: BLE001 - a group of tasks would wrap it
            self._error = error

    async def finish(self) -> list[Leg]:
        """Close what lost; return the legs that ended, the one that counts last."""
        if self._error is not None:
            raise self._error
        kept = self._legs[-1].number
        await self.close(but=kept)
        del self._ended[kept]
        self._courier.adopt(self._twins[kept])
        return self._legs

    async def close(self, *, but: int | None = None) -> None:
        """Close the responses that nobody will see."""
        for number in [number for number in self._ended if number != but]:
            await _close_async(self._ended.pop(number), self._twins[number])


async def _race_asyncio(asyncio: Any, effect: Race, courier: Runner) -> list[Leg]:
    ended: Any = asyncio.Queue()
    heat = _TaskHeat(courier, ended.put_nowait)
    tasks: list[Any] = []

    async def next_ended(timeout: float | None) -> Leg | None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                leg: Leg = await ended.get()
                return leg
        return None

    try:
        async with asyncio.TaskGroup() as group:
            await heat.decide(
                effect,
                lambda send: tasks.append(group.create_task(heat.leg(send))),
                next_ended,
            )
            for task in tasks:
                task.cancel()
        return await heat.finish()
    finally:
        await heat.close()


async def _race_trio(trio: Any, effect: Race, courier: Runner) -> list[Leg]:
    put, ended = trio.open_memory_channel(2)
    heat = _TaskHeat(courier, put.send_nowait)

    async def next_ended(timeout: float | None) -> Leg | None:
        legs: list[Leg] = []
        with trio.move_on_after(float("inf") if timeout is None else timeout):
            legs.append(await ended.receive())
        return legs.pop() if legs else None

    try:
        async with trio.open_nursery() as nursery:
            await heat.decide(
                effect,
                lambda send: nursery.start_soon(lambda: heat.leg(send)),
                next_ended,
            )
            nursery.cancel_scope.cancel()
        with trio.CancelScope(shield=True):
            return await heat.finish()
    finally:
        with trio.CancelScope(shield=True):
            await heat.close()


async def _run_heat(
    effect: Race,
    start: Callable[[Send], object],
    next_ended: Callable[[float | None], Awaitable[Leg | None]],
) -> list[Leg]:
    """Return the legs that ended until the race was decided."""
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
