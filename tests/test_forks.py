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


def test_each_is_reset_by_itself() -> None:
    class Thing:
        """One that can be held weakly."""

    reset: list[Thing] = []
    things, one, other = Inherited[Thing](reset.append), Thing(), Thing()
    things.add(one)
    things.add(other)

    things.reset_all()

    assert set(reset) == {one, other}
