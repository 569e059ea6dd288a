"""A property that is computed once, and under no lock."""

from __future__ import annotations

import threading

from lbtransport._lazy import lazy
from lbtransport.strategies import Candidates
from tests.strategies.kit import make_members


class Slow:
    """Computes its value when the last of two threads has begun."""

    def __init__(self) -> None:
        self.begun = threading.Barrier(2)
        self.computed = 0

    @lazy
    def value(self) -> str:
        """Tell what it is."""
        self.begun.wait(10)
        self.computed += 1
        return "value"


def test_value_is_computed_under_no_lock_and_kept() -> None:
    slow = Slow()

    thread = threading.Thread(target=lambda: slow.value, daemon=True)
    thread.start()
    found = [slow.value]
    thread.join()
    found.append(slow.value)

    assert found == ["value", "value"]
    assert slow.computed == 2


def test_it_is_documented_as_any_property() -> None:
    assert vars(Slow)["value"].__doc__ == "Tell what it is."


def test_what_is_known_of_candidates_needs_no_lock() -> None:
    candidates = Candidates(make_members((0, 1), (0, 3)))

    assert candidates.total_weight == 4
    assert not candidates.is_uniform
    computed = [name for name in vars(Candidates) if not name.startswith("_")]
    assert {type(vars(Candidates)[name]) for name in computed} == {lazy}
