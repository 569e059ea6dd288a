"""A short fall of the hammer: so many visits of each, however long they take."""

from __future__ import annotations

import pytest

from tests.hammer.crowd import Size
from tests.hammer.run import hammer

# A response that is dropped, or a task that is cancelled while it closes something, may
# leave a generator or a socket to the collector, which closes it; the audit counts what
# is open after that.
pytestmark = [
    pytest.mark.filterwarnings(
        "ignore:Async generator .* was garbage collected:ResourceWarning"
    ),
    pytest.mark.filterwarnings("ignore:unclosed (<socket|transport):ResourceWarning"),
]


def test_no_get_fails_and_nothing_is_left_while_servers_come_and_go() -> None:
    size = Size(threads=12, tasks=20, visits=8, longest_thought=0.5)

    report = hammer(size)

    assert report.errors == []
    assert report.left == []
    assert sum(report.visits.values()) == (12 + 20 + 20) * 8
    assert report.troubles["killed"] + report.troubles["restarted"] > 0
