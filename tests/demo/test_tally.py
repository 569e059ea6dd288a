from __future__ import annotations

import pytest

from lbtransport._demo.tally import Phase, Tally


def test_answer_counts_for_the_phase_in_which_its_call_began() -> None:
    tally = Tally()

    with tally.call("httpx") as call:
        tally.phase = Phase.DURING
        call.server = "a"

    count = tally.count()
    assert count.answers == {"httpx": 1}
    assert count.servers == {"a": 1}
    assert count.phases == {(Phase.BEFORE, "a"): 1}
    assert not count.errors


def test_error_that_a_caller_saw_is_counted_and_goes_no_further() -> None:
    tally = Tally()

    for _ in range(2):
        with tally.call("requests"):
            raise ConnectionError("refused")

    count = tally.count()
    assert count.errors == {"requests": 2}
    assert count.messages == {"requests: ConnectionError: refused": 2}
    assert not count.answers


def test_interrupt_is_no_error_of_a_caller() -> None:
    tally = Tally()

    with pytest.raises(KeyboardInterrupt), tally.call("requests"):
        raise KeyboardInterrupt

    assert not tally.count().errors


def test_count_is_a_copy() -> None:
    tally = Tally()
    before = tally.count()

    with tally.call("httpx") as call:
        call.server = "a"

    assert not before.answers
