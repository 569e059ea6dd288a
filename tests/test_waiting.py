"""Waiting for a state: woken by what changes it, and by time alone."""

from __future__ import annotations

import gc
import math
import threading
from collections.abc import Generator
from typing import Any

import anyio
import pytest

from lbtransport import LoadBalancer, Outcome, Selection
from lbtransport._effects import Effect, Wait
from lbtransport._waiting import wait_drained, wait_ready
from tests.core_kit import (
    A,
    B,
    advance,
    eject,
    make_service,
    select_only,
    states_of,
    stats_of,
)

PATIENCE = 10.0  # seconds, for what takes none


def throttle(service: LoadBalancer, url: str, seconds: float) -> None:
    until = service.core.clock.monotonic() + seconds
    select_only(service, url).release(outcome=Outcome.throttled(until))


class Waiter:
    """Waits, step by step."""

    def __init__(
        self,
        service: LoadBalancer,
        *,
        drained: str | None = None,
        timeout: float | None = None,
    ) -> None:
        self._service = service
        self._steps: Generator[Effect, Any, bool] = (
            wait_ready(service.core, timeout)
            if drained is None
            else wait_drained(service.core, drained, timeout)
        )
        self.result: bool | None = None
        self.wait: Wait | None = None
        self.go_on(None)

    def go_on(self, woken: bool | None) -> None:
        """Tell the waiter how its wait ended."""
        try:
            effect = next(self._steps) if woken is None else self._steps.send(woken)
        except StopIteration as end:
            self.result, self.wait = end.value, None
            return
        assert isinstance(effect, Wait)
        self.wait = effect
        self._began_at = self._service.core.clock.monotonic()

    @property
    def is_woken(self) -> bool:
        assert self.wait is not None
        return self.wait.signal.is_set

    def let_time_pass(self, seconds: float) -> None:
        """Let its waits end by their timeouts, until `seconds` have passed."""
        clock = self._service.core.clock
        ends_at = clock.monotonic() + seconds
        while self.wait is not None:
            timeout = self.wait.timeout
            assert timeout != 0.0, "it spins"
            wakes_at = math.inf if timeout is None else self._began_at + timeout
            if wakes_at > ends_at:
                advance(self._service, ends_at - clock.monotonic())
                break
            advance(self._service, wakes_at - clock.monotonic())
            self.go_on(False)

    def close(self) -> None:
        self._steps.close()


def test_state_that_is_reached_is_not_waited_for() -> None:
    assert Waiter(make_service([A])).result is True
    assert Waiter(make_service([A]), drained=A).result is True


def test_state_that_is_not_reached_in_time() -> None:
    waiter = Waiter(make_service([]), timeout=5.0)

    waiter.let_time_pass(4.999)
    assert waiter.result is None
    waiter.let_time_pass(0.002)
    assert waiter.result is False


def test_timeout_of_zero_looks_once() -> None:
    assert Waiter(make_service([]), timeout=0.0).result is False


def test_wait_without_a_timeout_is_for_ever() -> None:
    waiter = Waiter(make_service([]))

    waiter.let_time_pass(1000.0)

    assert waiter.result is None
    waiter.close()


def test_release_wakes_who_waits_for_a_drain() -> None:
    service = make_service([A])
    selection = service.select()
    waiter = Waiter(service, drained=A)
    before = waiter.is_woken

    selection.release()

    assert (before, waiter.is_woken) == (False, True)
    waiter.go_on(True)
    assert waiter.result is True


def test_wakened_too_early_waits_on() -> None:
    service = make_service([A])
    selections = [service.select(), service.select()]
    waiter = Waiter(service, drained=A, timeout=5.0)

    selections[0].release()
    waiter.go_on(True)

    assert waiter.result is None
    selections[1].release()
    waiter.go_on(True)
    assert waiter.result is True


def test_wakening_too_early_does_not_begin_the_timeout_anew() -> None:
    service = make_service([A])
    selections = [service.select(), service.select()]
    waiter = Waiter(service, drained=A, timeout=5.0)

    waiter.let_time_pass(4.0)
    selections[0].release()
    waiter.go_on(True)
    waiter.let_time_pass(1.001)

    assert waiter.result is False
    selections[1].release()


@pytest.mark.parametrize("act", ["add", "update", "mark", "undrain"])
def test_change_of_the_service_wakes_who_waits_for_it(act: str) -> None:
    service = make_service([A])
    service.drain(A)
    waiter = Waiter(service)

    if act == "add":
        service.add_backend(B)
    elif act == "update":
        service.update_backends([A, B])
    elif act == "mark":
        service.add_backend(B)
        service.mark_healthy(B, True)
    else:
        service.drain(A, False)

    assert waiter.is_woken
    waiter.go_on(True)
    assert waiter.result is True


def test_time_alone_makes_ready() -> None:
    service = make_service([A])
    throttle(service, A, 3.0)
    waiter = Waiter(service, timeout=60.0)

    waiter.let_time_pass(2.999)
    assert waiter.result is None
    waiter.let_time_pass(0.002)
    assert waiter.result is True


def test_time_that_is_not_enough_is_cut_by_the_timeout() -> None:
    service = make_service([A])
    throttle(service, A, 30.0)
    waiter = Waiter(service, timeout=2.0)

    waiter.let_time_pass(2.001)

    assert waiter.result is False


def test_finished_wait_leaves_no_watcher() -> None:
    service = make_service([A])
    waiter = Waiter(service, drained=A)
    selection = service.select()
    other = Waiter(service, drained=A)

    other.close()
    selection.release()

    assert waiter.result is True
    assert service.core.announcer.watchers == []


def test_wait_for_a_drain_never_spins() -> None:
    service = make_service([A, B])
    eject(service, A)
    selection = select_only(service, B)
    service.drain(B)
    service.wait_ready(0)  # the last one to look at who is usable
    advance(service, 3600.0)
    assert states_of(service)[A] == "half_open"

    waiter = Waiter(service, drained=B, timeout=60.0)
    waiter.let_time_pass(30.0)

    assert waiter.result is None
    selection.release()
    waiter.close()


def drop_in_a_cycle(selection: Selection) -> None:
    """Leave a selection to the collector, whose finalisers may wake nobody."""
    cycle: list[object] = [selection]
    cycle.append(cycle)


def test_wait_for_a_drain_notices_a_selection_that_was_dropped() -> None:
    service = make_service([A])
    drop_in_a_cycle(service.select())
    waiter = Waiter(service, drained=A)

    gc.collect()
    waiter.let_time_pass(2.0)

    assert waiter.result is True


def test_wait_for_readiness_notices_a_trial_that_was_dropped() -> None:
    service = make_service([A, B])
    eject(service, A)
    service.drain(B)
    advance(service, 2.0)
    drop_in_a_cycle(select_only(service, A))
    waiter = Waiter(service)
    assert waiter.result is None

    gc.collect()
    waiter.let_time_pass(2.0)

    assert waiter.result is True


# The public face


def test_wait_drained_of_an_idle_backend() -> None:
    assert make_service([A]).wait_drained(A, 0) is True


def test_wait_drained_in_vain() -> None:
    service = make_service([A])
    selection = service.select()

    assert service.wait_drained(A, 0) is False
    selection.release()


def test_wait_ready_of_a_service_that_is() -> None:
    assert make_service([A]).wait_ready() is True


def test_wait_ready_in_vain() -> None:
    assert make_service([]).wait_ready(0) is False


def test_panic_is_not_ready() -> None:
    service = make_service([A])
    throttle(service, A, 60.0)
    service.select().cancel()

    assert service.wait_ready(0) is False


def test_thread_waits_for_the_drain_of_another() -> None:
    service = make_service([A])
    selection = service.select()
    drained: list[bool] = []
    waiter = threading.Thread(
        target=lambda: drained.append(service.wait_drained(A, PATIENCE))
    )
    waiter.start()
    while not service.core.announcer.watchers:
        pass

    selection.release()

    waiter.join(PATIENCE)
    assert drained == [True]


async def test_task_waits_for_a_drain() -> None:
    service = make_service([A])
    selection = service.select()
    drained: list[bool] = []

    async def wait() -> None:
        drained.append(await service.wait_drained_async(A, PATIENCE))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wait)
        await anyio.wait_all_tasks_blocked()
        assert drained == []
        selection.release()

    assert drained == [True]


async def test_task_waits_until_ready() -> None:
    service = make_service([])
    ready: list[bool] = []

    async def wait() -> None:
        ready.append(await service.wait_ready_async())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wait)
        await anyio.wait_all_tasks_blocked()
        await anyio.to_thread.run_sync(service.add_backend, A)

    assert ready == [True]


async def test_task_waits_in_vain() -> None:
    assert await make_service([]).wait_ready_async(0) is False
    assert await make_service([A]).wait_drained_async(A, 0) is True


async def test_cancelled_wait_leaves_no_watcher() -> None:
    service = make_service([])

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(service.wait_ready_async)
        await anyio.wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()

    assert service.core.announcer.watchers == []


def test_removal_ends_the_wait_for_a_drain() -> None:
    service = make_service([A])
    selection = service.select()
    waiter = Waiter(service, drained=A)

    service.remove_backend(A)

    assert waiter.is_woken
    with pytest.raises(KeyError):
        waiter.go_on(True)
    selection.release()
    assert service.core.announcer.watchers == []


def test_statistics_do_not_disturb_who_waits() -> None:
    service = make_service([A])
    selection = service.select()
    waiter = Waiter(service, drained=A)

    assert stats_of(service, A).in_flight == 1
    waiter.go_on(False)

    assert waiter.result is None
    selection.release()
    waiter.close()
