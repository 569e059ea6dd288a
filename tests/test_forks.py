"""Who is told, in the child of a fork, that he is in another process now."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from lbtransport._forks import Inherited

CHILD = """
import os
from lbtransport._forks import Inherited, call_in_child

class Thing: pass

told = []
call_in_child(lambda: told.append("first"))
things = Inherited(lambda thing: told.append(thing.name))
kept, dropped = Thing(), Thing()
kept.name, dropped.name = "kept", "dropped"
things.add(kept)
things.add(dropped)
del dropped
if child := os.fork():
    _, status = os.waitpid(child, 0)
    print("parent", told, os.waitstatus_to_exitcode(status))
else:
    print("child", told)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_child_resets_what_is_still_held_in_order_and_the_parent_nothing() -> None:
    done = subprocess.run(
        [sys.executable, "-c", CHILD], capture_output=True, text=True, check=True
    )

    assert done.stdout.splitlines() == [
        "child ['first', 'kept']",
        "parent [] 0",
    ]


LATE = """
import os, signal, threading

def collect():
    # As the collector may, in the child, before anything was reset there.
    signal.alarm(20)
    late.release()

os.register_at_fork(after_in_child=collect)

from lbtransport import LoadBalancer

orders = LoadBalancer("orders", ["http://10.0.0.1:8080"])
late = orders.select()
held, let_go = threading.Event(), threading.Event()

def hold():
    outer, inner = orders.core.locks
    with outer, inner:
        held.set()
        let_go.wait()

threading.Thread(target=hold).start()
held.wait()
threading.Timer(0.1, let_go.set).start()
if child := os.fork():
    _, status = os.waitpid(child, 0)
    print("parent", orders.core.in_flight("http://10.0.0.1:8080"), status)
else:
    print("child", orders.core.in_flight("http://10.0.0.1:8080"), flush=True)
    orders.select().release()
    os._exit(0)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_who_forks_waits_for_what_another_thread_is_at() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LATE], capture_output=True, text=True, check=True
    )

    assert done.stdout.splitlines() == ["child 0", "parent 1 0"]


def test_each_is_reset_by_itself() -> None:
    class Thing:
        """One that can be held weakly."""

    reset: list[Thing] = []
    things, one, other = Inherited[Thing](reset.append), Thing(), Thing()
    things.add(one)
    things.add(other)

    things.reset_all()

    assert set(reset) == {one, other}
