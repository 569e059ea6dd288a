"""Waiting for a signal and sleeping, in a thread and in a task."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable

import anyio
import pytest
import trio

from lbtransport._drive import drive_async
from lbtransport._effects import Call, Sleep, Wait
from lbtransport._types import Signal
from tests.drive.kit import DRIVERS, PATIENCE, Steps, Trace, ask_for, every_driver


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


@every_driver
def test_signal_given_before_is_seen_without_any_time_to_wait(driver: str) -> None:
    signal = Signal()
    signal.set()

    came, _ = DRIVERS[driver](lambda trace: wait_for(signal, 0.0), None)

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


def test_trio_is_told_from_asyncio_by_its_task() -> None:
    """With trio imported, asyncio is still itself: other tests import both."""
    assert trio.lowlevel.in_trio_run() is False
    signal = Signal()

    assert anyio.run(drive_async, wait_for(signal, 0.0), backend="asyncio") is False


def test_trio_is_told_by_what_all_its_releases_have(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # trio 0.29 brought it; a program may hold an older one, under asyncio too.
    monkeypatch.delattr(trio.lowlevel, "in_trio_task")
    signal = Signal()

    for backend in ("asyncio", "trio"):
        assert anyio.run(drive_async, wait_for(signal, 0.0), backend=backend) is False


def test_asyncio_does_without_trio(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "trio")

    came = anyio.run(drive_async, wait_for(Signal(), 0.0), backend="asyncio")

    assert came is False
