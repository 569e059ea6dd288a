"""The small pool of threads."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator

import pytest

from lbtransport._calls import ThreadCall, ThreadPool
from tests.servers import PATIENCE


def wait_for(call: ThreadCall) -> None:
    ended = threading.Event()
    call.ended.listen(ended.set)
    assert ended.wait(PATIENCE)


def threads_of_pool() -> list[threading.Thread]:
    return [t for t in threading.enumerate() if t.name == "lbtransport-call"]


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """Hold up whoever waits for it, until the test opens it or ends."""
    event = threading.Event()
    yield event
    event.set()
    for thread in threads_of_pool():
        thread.join(PATIENCE)


def test_call_returns_what_the_function_returned() -> None:
    call = ThreadPool().call(pow, 2, 5)

    wait_for(call)

    assert call.result() == 32


def test_call_raises_what_the_function_raised() -> None:
    call = ThreadPool().call(int, "x")

    wait_for(call)

    with pytest.raises(ValueError, match="invalid literal"):
        call.result()


def test_function_that_exits_ends_no_thread() -> None:
    call = ThreadPool().call(sys.exit, 3)

    wait_for(call)

    with pytest.raises(RuntimeError, match="SystemExit in a thread"):
        call.result()


def test_no_more_than_eight_run_at_once_and_the_rest_follow(
    gate: threading.Event,
) -> None:
    pool = ThreadPool()
    calls = [pool.call(gate.wait, PATIENCE) for _ in range(20)]

    started = [call.started.is_set for call in calls]
    assert len(threads_of_pool()) == 8
    gate.set()

    for call in calls:
        wait_for(call)
        assert call.result()
    assert sum(started) <= 8


def test_place_of_one_that_is_written_off_is_anothers(gate: threading.Event) -> None:
    pool = ThreadPool()
    stuck = [pool.call(gate.wait, PATIENCE) for _ in range(8)]
    waiting = pool.call(pow, 2, 5)
    assert not waiting.ended.is_set

    stuck[0].write_off()

    wait_for(waiting)
    assert waiting.result() == 32
    gate.set()
    for call in stuck:
        wait_for(call)


def test_one_that_is_written_off_before_it_began_never_begins(
    gate: threading.Event,
) -> None:
    pool = ThreadPool()
    stuck = [pool.call(gate.wait, PATIENCE) for _ in range(8)]
    waiting = pool.call(pow, 2, 5)

    waiting.write_off()
    gate.set()
    for call in stuck:
        wait_for(call)

    assert not waiting.started.is_set


def test_no_thread_stays() -> None:
    pool = ThreadPool()
    for call in [pool.call(pow, 2, 5) for _ in range(20)]:
        wait_for(call)

    for thread in threads_of_pool():
        thread.join(PATIENCE)

    assert not threads_of_pool()
