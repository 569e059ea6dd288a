from __future__ import annotations

import io

import pytest
from rich.console import Console

from lbtransport._demo.journal import Journal
from lbtransport._demo.summary import Summary
from lbtransport._demo.tally import Phase, Tally
from lbtransport.testing import ManualClock
from tests.demo.frames import make_summary


def text_of(summary: Summary) -> str:
    console = Console(file=io.StringIO(), width=100, record=True)
    console.print(summary)
    return console.export_text()


def test_demo_without_errors_went_well() -> None:
    summary = make_summary()

    assert not summary.problems
    assert "Errors that callers saw: 0" in text_of(summary)


def test_summary_shows_requests_shares_and_what_happened() -> None:
    text = text_of(make_summary())

    rows = [line.split() for line in text.splitlines()]
    assert ["requests", "60", "0"] in rows
    assert ["a", "50%", "100%", "75%"] in rows
    assert ["b", "50%", "0%", "25%"] in rows
    assert "100 requests to one logical hostname in 10.4 s" in text
    assert "Failed attempts, repeated on another server: 6" in text
    assert "Ejections of b, failed trials included: 2; returns: 1" in text


@pytest.mark.parametrize(
    ("summary", "problem"),
    [
        (
            make_summary(messages={"requests: ReadError: oops": 3}),
            "A caller saw an error, 3 times: requests: ReadError: oops",
        ),
        (make_summary(answers=(60, 0)), "httpx got no answer at all."),
        (make_summary(returns=0), "b did not come back into rotation."),
        (make_summary(after=0), "b came back, but answered nothing afterwards."),
    ],
)
def test_what_went_wrong_is_told(summary: Summary, problem: str) -> None:
    assert summary.problems == [problem]
    assert problem in text_of(summary)


def test_only_the_most_frequent_errors_are_told() -> None:
    messages = {f"requests: ReadError: number {number}": number for number in range(9)}

    summary = make_summary(messages=messages)

    assert len(summary.problems) == 3
    assert "number 8" in summary.problems[0]


def test_share_of_a_phase_without_answers_is_zero() -> None:
    journal = Journal({}, ManualClock().monotonic)

    summary = Summary.of(
        journal, Tally().count(), clients=(), servers=("a",), victim="a"
    )

    assert summary.share(Phase.BEFORE, "a") == 0
    assert summary.requests == 0
