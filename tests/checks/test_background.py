"""Where checks run: the one thread, the user's own loop, and what is left of it."""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
import threading
import warnings
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from lbtransport import Backend, LoadBalancer, events
from lbtransport._background import background
from lbtransport.checks import CustomCheck, HttpCheck, TcpCheck
from lbtransport.load_balancer import _reset_after_fork as reset_after_fork
from tests.core_kit import A, B, C
from tests.load_balancer.test_forks import forks, in_children
from tests.servers import PATIENCE, LoopbackServer, hang, reply

SOON = 0.02  # seconds
ROOT = Path(__file__).parents[2]


class Asked:
    """A check that notes who was asked, and where."""

    def __init__(self) -> None:
        self.urls: list[str] = []
        self.threads: set[threading.Thread] = set()
        self.sick: set[str] = set()
        self.asked = threading.Event()

    async def __call__(self, backend: Backend) -> bool:
        self.urls.append(backend.url)
        self.threads.add(threading.current_thread())
        self.asked.set()
        return backend.url not in self.sick

    def wait(self) -> None:
        self.asked.clear()
        assert self.asked.wait(PATIENCE)


def often(check: Any) -> CustomCheck:
    return CustomCheck(check, interval=SOON, fall=1, rise=1)


def background_threads() -> list[threading.Thread]:
    return [t for t in threading.enumerate() if t.name.startswith("lbtransport-")]


@pytest.fixture(autouse=True)
def _nothing_is_left() -> Iterator[None]:
    """Look for threads before and after each test."""
    assert background_threads() == []
    yield
    gc.collect()
    for thread in background_threads():
        thread.join(PATIENCE)
    assert background_threads() == []
    assert background._loop is None
    assert not background._jobs


def wait_for(service: LoadBalancer, is_so: Callable[[LoadBalancer], bool]) -> None:
    """Wait until something is so, looking again at each event."""
    changed = threading.Event()
    unsubscribe = service.subscribe(lambda event: changed.set())
    while not is_so(service):
        assert changed.wait(PATIENCE)
        changed.clear()
    unsubscribe()


def verdicts(service: LoadBalancer) -> dict[str, bool | None]:
    return {b.backend.url: b.checked for b in service.stats().backends}


# The thread


def test_checks_begin_with_the_first_use_in_one_thread_for_all() -> None:
    asked = Asked()
    with (
        LoadBalancer("orders", [A], checks=often(asked)) as orders,
        LoadBalancer("users", [B], checks=often(asked)) as users,
    ):
        assert background_threads() == []
        orders.select().release()
        users.stats()
        while {A, B} - {*asked.urls}:
            asked.wait()

        assert background_threads() == [*asked.threads]
        assert len(asked.threads) == 1


def test_service_without_checks_has_no_thread() -> None:
    with LoadBalancer("orders", [A]) as orders:
        orders.select().release()

        assert background_threads() == []


def test_closing_ends_the_checks_and_what_they_said() -> None:
    asked = Asked()
    asked.sick.add(A)
    orders = LoadBalancer("orders", [A, B], checks=often(asked))
    orders.stats()
    wait_for(orders, lambda orders: verdicts(orders)[A] is False)

    orders.close()
    asked.urls.clear()
    orders.select().release()

    assert background_threads() == []
    assert verdicts(orders) == {A: None, B: None}
    assert not asked.urls
    orders.close()


def test_service_that_is_closed_before_its_first_use_is_never_checked() -> None:
    orders = LoadBalancer("orders", [A], checks=often(Asked()))

    orders.close()
    orders.select().release()

    assert background_threads() == []


def test_closing_one_service_leaves_the_other_one() -> None:
    asked, other = Asked(), Asked()
    with LoadBalancer("users", [B], checks=often(other)) as users:
        users.stats()
        orders = LoadBalancer("orders", [A], checks=often(asked))
        orders.stats()
        asked.wait()

        orders.close()
        other.wait()

        assert len(background_threads()) == 1


def test_service_may_be_closed_by_what_its_own_checks_cause() -> None:
    asked = Asked()
    asked.sick.add(A)
    orders = LoadBalancer("orders", [A, B], checks=often(asked))
    closed = threading.Event()

    def close(event: events.Event) -> None:
        if isinstance(event, events.BackendFailing):
            orders.close()
            closed.set()

    orders.subscribe(close)
    orders.stats()

    assert closed.wait(PATIENCE)


def test_service_that_is_dropped_takes_its_checks_along() -> None:
    asked = Asked()
    orders = LoadBalancer("orders", [A], checks=often(asked))
    orders.stats()
    asked.wait()
    (thread,) = background_threads()
    dropped = weakref.ref(orders)

    del orders
    gc.collect()

    thread.join(PATIENCE)
    assert not thread.is_alive()
    assert dropped() is None


def test_service_that_is_dropped_unused_leaves_nothing() -> None:
    orders = LoadBalancer("orders", [A], checks=often(Asked()))
    core = weakref.ref(orders.core)

    del orders
    gc.collect()

    assert core() is None


def test_backends_that_come_later_are_checked(server: LoopbackServer) -> None:
    with LoadBalancer("orders", [], checks=HttpCheck(interval=SOON)) as orders:
        orders.stats()

        orders.update_backends([server.url])

        server.wait_until(lambda server: len(server.requests) >= 2)


def test_stuck_check_blocks_no_other(
    server: LoopbackServer, start_server: Callable[..., LoopbackServer]
) -> None:
    stuck = start_server(hang)
    check = HttpCheck(interval=SOON, timeout=600)
    with LoadBalancer("orders", [stuck.url, server.url], checks=check) as orders:
        orders.stats()
        stuck.wait_until(lambda stuck: len(stuck.requests) == 1)

        server.wait_until(lambda server: len(server.requests) >= 3)

    stuck.wait_until(lambda stuck: not stuck.open_connections)
    assert len(stuck.requests) == 1


@pytest.mark.parametrize("error", [ValueError, SystemExit, KeyboardInterrupt])
def test_crash_of_a_check_ends_no_other(error: type[BaseException]) -> None:
    asked = Asked()

    async def check(backend: Backend) -> None:
        if backend.url == A:
            raise error
        await asked(backend)

    with LoadBalancer("orders", [A, B], checks=often(check)) as orders:
        orders.stats()
        wait_for(orders, lambda orders: verdicts(orders)[A] is False)

        asked.wait()
        asked.wait()


def test_crash_of_the_upkeep_itself_is_logged_and_ends_no_other(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Broken:
        def monotonic(self) -> float:
            if threading.current_thread().name == "lbtransport-background":
                raise ZeroDivisionError
            return 0.0

        wall = monotonic

    asked = Asked()
    broken = LoadBalancer("orders", [A], checks=often(asked), clock=Broken())
    with broken, LoadBalancer("users", [B], checks=often(asked)) as users:
        broken.select().release()
        users.stats()
        while B not in asked.urls:
            asked.wait()
        asked.wait()

    assert "background work died" in caplog.text


def test_names_are_resolved_without_threads_that_stay(server: LoopbackServer) -> None:
    url = f"http://localhost:{server.port}"
    with LoadBalancer("orders", [url], checks=HttpCheck(interval=SOON)) as orders:
        orders.stats()

        server.wait_until(lambda server: len(server.requests) >= 2)

        names = {thread.name for thread in threading.enumerate()}
        assert not [name for name in names if name.startswith("asyncio_")]


def test_loop_that_a_check_blocks_is_not_waited_for_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gate, is_blocked = threading.Event(), threading.Event()

    async def block(backend: Backend) -> None:
        is_blocked.set()
        gate.wait(PATIENCE)

    orders = LoadBalancer("orders", [A], checks=often(block))
    orders.stats()
    assert is_blocked.wait(PATIENCE)
    (job,) = background._jobs

    background.stop(job, 0.01)
    gate.set()
    orders.close()

    assert job.ended.wait(PATIENCE)


# The user's own loop


async def test_checks_run_in_the_loop_of_the_user_and_in_no_thread() -> None:
    asked = Asked()
    asked.sick.add(A)
    orders = LoadBalancer("orders", [A, B], checks=often(asked))

    async with orders.background():
        orders.stats()
        for _ in range(3):
            await anyio.to_thread.run_sync(asked.wait)
        await anyio.to_thread.run_sync(
            wait_for, orders, lambda orders: verdicts(orders)[A] is False
        )
        assert background_threads() == []
    orders.stats()

    assert asked.threads == {threading.current_thread()}
    assert verdicts(orders) == {A: None, B: None}
    assert background_threads() == []


async def test_checks_move_from_the_thread_to_the_loop() -> None:
    asked = Asked()
    orders = LoadBalancer("orders", [A], checks=often(asked))
    orders.stats()
    await anyio.to_thread.run_sync(asked.wait)
    asked.threads.clear()

    async with orders.background():
        await anyio.to_thread.run_sync(asked.wait)

        assert background_threads() == []


async def test_loop_may_be_used_again_after_the_block() -> None:
    asked = Asked()
    orders = LoadBalancer("orders", [A], checks=often(asked))

    for _ in range(2):
        async with orders.background():
            await anyio.to_thread.run_sync(asked.wait)


async def test_check_that_ends_after_the_closing_is_not_heard() -> None:
    begun, go_on = anyio.Event(), anyio.Event()

    async def check(backend: Backend) -> bool:
        begun.set()
        await go_on.wait()
        return False

    orders = LoadBalancer("orders", [A], checks=often(check))
    heard: list[events.Event] = []

    async with orders.background():
        await begun.wait()
        orders.close()
        orders.subscribe(heard.append)
        go_on.set()
        await anyio.wait_all_tasks_blocked()

    assert heard == []


async def test_service_that_is_closed_has_nothing_to_run_in_a_loop() -> None:
    orders = LoadBalancer("orders", [A], checks=often(Asked()))
    orders.close()

    async with orders.background():
        assert not orders.checking._is_running


async def test_service_is_checked_in_one_loop_at_a_time() -> None:
    orders = LoadBalancer("orders", [A], checks=often(Asked()))

    async with orders.background():
        with pytest.raises(RuntimeError, match="run in another background"):
            async with orders.background():
                raise AssertionError


async def test_what_the_block_raises_is_what_leaves_it() -> None:
    orders = LoadBalancer("orders", [A], checks=often(Asked()))

    with pytest.raises(ZeroDivisionError):
        async with orders.background():
            raise ZeroDivisionError


async def test_block_can_be_cancelled_and_leaves_no_connection(
    server: LoopbackServer,
) -> None:
    server.handler = hang
    check = HttpCheck(interval=SOON, timeout=600)
    orders = LoadBalancer("orders", [server.url], checks=check)

    with anyio.CancelScope() as scope:
        async with orders.background():
            await anyio.to_thread.run_sync(
                server.wait_until, lambda server: len(server.requests) == 1
            )
            scope.cancel()
            await anyio.sleep_forever()

    server.wait_until(lambda server: not server.open_connections)


def test_no_task_is_left_in_the_loop_of_the_user() -> None:
    orders = LoadBalancer("orders", [A, B, C], checks=often(Asked()))

    async def main() -> set[Any]:
        async with orders.background():
            await asyncio.sleep(SOON)  # the checks are to have begun, or not yet
        return asyncio.all_tasks() - {asyncio.current_task()}

    assert asyncio.run(main()) == set()


async def test_service_without_checks_has_nothing_to_run() -> None:
    async with LoadBalancer("orders", [A]).background():
        assert background_threads() == []


# Forks and the end


@forks
def test_child_of_a_fork_checks_anew_and_disturbs_no_parent(
    server: LoopbackServer,
) -> None:
    server.handler = hang
    check = HttpCheck(interval=SOON, timeout=600)
    with (
        LoadBalancer("orders", [server.url], checks=check) as orders,
        LoadBalancer("users", [A], checks=often(Asked())) as users,
    ):
        orders.stats()
        users.stats()
        server.wait_until(lambda server: len(server.requests) == 1)

        def work() -> list[int]:
            before = len(background_threads())
            orders.stats()
            during = len(background_threads())
            orders.close()
            users.close()
            gc.collect()
            return [before, during, len(background_threads())]

        with warnings.catch_warnings():
            warnings.simplefilter("error", ResourceWarning)
            assert in_children(1, work) == [[0, 1, 0]]
        server.handler = reply()
        server.restart()

        server.wait_until(lambda server: len(server.requests) >= 3)


@forks
def test_child_of_a_fork_holds_no_connection_of_the_parent(
    server: LoopbackServer,
) -> None:
    server.handler = hang
    check = HttpCheck(interval=SOON, timeout=600)
    orders = LoadBalancer("orders", [server.url], checks=check)
    orders.stats()
    server.wait_until(lambda server: len(server.requests) == 1)
    reader, writer = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:  # pragma: no cover - coverage does not reach into it
        os.close(writer)
        os.read(reader, 1)  # until the parent has closed it
        os._exit(0)
    os.close(reader)

    orders.close()
    server.wait_until(lambda server: not server.open_connections)

    os.close(writer)
    os.waitpid(child, 0)


def test_process_that_forks_before_any_check_has_nothing_to_let_go_of() -> None:
    background.reset_after_fork()

    with LoadBalancer("orders", [A], checks=often(asked := Asked())) as orders:
        orders.stats()
        asked.wait()


@forks
def test_child_of_a_fork_in_the_users_loop_begins_with_nothing() -> None:
    asked = Asked()
    asked.sick.add(A)
    orders = LoadBalancer("orders", [A], checks=often(asked))

    async def main() -> list[tuple[bool, bool | None]]:
        async with orders.background():
            await anyio.to_thread.run_sync(
                wait_for, orders, lambda orders: verdicts(orders)[A] is False
            )
            return in_children(
                1, lambda: (orders.checking._is_running, verdicts(orders)[A])
            )

    assert asyncio.run(main()) == [(False, None)]


async def test_reset_after_a_fork_forgets_what_nobody_checks_there() -> None:
    asked = Asked()
    asked.sick.add(A)
    orders = LoadBalancer("orders", [A], checks=often(asked))

    async with orders.background():
        await anyio.to_thread.run_sync(
            wait_for, orders, lambda orders: verdicts(orders)[A] is False
        )
        # As in the child, whose loop runs nothing of this.
        reset_after_fork(orders)

        assert verdicts(orders) == {A: None}


PROGRAM = """
import os, sys, time, threading
from lbtransport import LoadBalancer
from lbtransport.checks import CustomCheck, HttpCheck
begun = threading.Event()
def stuck(backend):
    begun.set()
    time.sleep(600)  # a function that nothing can interrupt
async def blocked(backend):
    stuck(backend)
checks = {{
    "http": HttpCheck(interval=0.01, timeout=600),
    "stuck": CustomCheck(stuck, interval=0.01),
    "blocked": CustomCheck(blocked, interval=0.01),
}}[{kind!r}]
orders = LoadBalancer("orders", [{url!r}], checks=checks)
orders.stats()
if {kind!r} != "http":
    begun.wait()
else:
    orders.wait_ready()
    time.sleep(0.1)  # some more checks, of which one may be under way
if {forks!r} and os.fork() == 0:
    orders.stats()
    sys.exit(0)
if {forks!r}:
    assert os.wait()[1] == 0
"""


@pytest.mark.parametrize("forks", [False, True])
@pytest.mark.parametrize("kind", ["http", "stuck", "blocked"])
def test_program_ends_without_a_word_while_checks_run(
    server: LoopbackServer, kind: str, forks: bool
) -> None:
    if forks and not hasattr(os, "fork"):
        pytest.skip("there is no fork here")
    server.handler = hang
    program = PROGRAM.format(kind=kind, url=server.url, forks=forks)

    done = subprocess.run(
        [
            sys.executable,
            "-X",
            "dev",
            "-W",
            "ignore::DeprecationWarning",
            "-c",
            program,
        ],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_tcp_check_runs_in_the_thread_too(server: LoopbackServer) -> None:
    with LoadBalancer("orders", [server.url], checks=TcpCheck(interval=SOON)) as orders:
        orders.stats()

        server.wait_until(lambda server: server.connections >= 2)
