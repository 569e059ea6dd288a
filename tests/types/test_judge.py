"""What counts as a failure, by the rules of the user."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

import pytest

from lbtransport._clock import ManualClock
from lbtransport._types import Repeat, Verdict
from lbtransport._types.answers import Judge
from lbtransport._types.outcome import SUCCESS


@dataclass(frozen=True)
class Response:
    says: Any = None


def asking(retry_after: str | None) -> dict[str, str]:
    return {} if retry_after is None else {"retry-after": retry_after}


def judge(says: Any = None, **rules: Any) -> Judge:
    return Judge(ManualClock(100.0), is_failure=lambda response: says, **rules)


def verdict(made: Judge, status: int, retry_after: str | None = None) -> Verdict:
    return made.outcome_of(Response(), status, asking(retry_after)).health


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (200, Verdict.SUCCESS),
        (404, Verdict.SUCCESS),
        (429, Verdict.FAILURE),
        (500, Verdict.SUCCESS),
        (503, Verdict.FAILURE),
    ],
)
def test_statuses_are_the_users(status: int, expected: Verdict) -> None:
    made = Judge(ManualClock(), failure_statuses={429, 503})

    assert verdict(made, status) is expected
    assert not made.sees_all


def test_retry_after_excuses_a_status_of_the_users() -> None:
    outcome = Judge(ManualClock(100.0), failure_statuses={429}).outcome_of(
        Response(), 429, asking("5")
    )

    assert (outcome.health, outcome.until) == (Verdict.NEUTRAL, 105.0)


@pytest.mark.parametrize(
    ("status", "retry_after", "says", "expected"),
    [
        (200, None, None, Verdict.SUCCESS),
        (200, None, False, Verdict.SUCCESS),
        (200, None, True, Verdict.FAILURE),
        (404, None, True, Verdict.FAILURE),
        (500, None, None, Verdict.FAILURE),
        (500, None, True, Verdict.FAILURE),
        (500, None, False, Verdict.SUCCESS),
        (503, "5", None, Verdict.NEUTRAL),
        (503, "5", True, Verdict.FAILURE),
        (503, "5", False, Verdict.NEUTRAL),
    ],
)
def test_function_of_the_users_has_the_last_word(
    status: int, retry_after: str | None, says: bool | None, expected: Verdict
) -> None:
    assert verdict(judge(says), status, retry_after) is expected


def test_function_is_given_the_response_itself() -> None:
    made = Judge(ManualClock(), is_failure=lambda response: response.says)

    assert made.outcome_of(Response(True), 200, {}).health is Verdict.FAILURE
    assert made.outcome_of(Response(), 200, {}) is SUCCESS
    assert made.sees_all


def test_verdict_of_the_function_changes_nothing_else() -> None:
    failed = judge(True).outcome_of(Response(), 503, asking("5"))
    excused = judge(False).outcome_of(Response(), 503, asking("5"))

    assert (failed.until, failed.repeat, failed.status) == (105.0, Repeat.ANY, 503)
    assert (excused.until, excused.repeat, excused.status) == (105.0, Repeat.ANY, 503)
    assert failed.shared
    assert failed.reason == "status 503, is_failure"
    assert not excused.sample


def test_excused_answer_is_a_measure_of_speed() -> None:
    assert judge(False).outcome_of(Response(), 500, {}).sample
    assert not judge(True).outcome_of(Response(), 200, {}).sample


@pytest.mark.parametrize(
    ("says", "expected"),
    [(None, Verdict.SUCCESS), (False, Verdict.SUCCESS), (True, Verdict.FAILURE)],
)
def test_function_judges_the_results_of_functions(
    says: bool | None, expected: Verdict
) -> None:
    assert judge(says).outcome_of_result("a result").health is expected


def test_result_without_a_function_is_a_success() -> None:
    assert Judge(ManualClock()).outcome_of_result(None) is SUCCESS


def test_function_that_fails_is_logged_and_leaves_it_to_the_status(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def is_failure(response: Any) -> bool:
        raise ZeroDivisionError

    made = Judge(ManualClock(), is_failure=is_failure)

    with caplog.at_level(logging.ERROR, logger="lbtransport.health"):
        found = [verdict(made, status) for status in (200, 500)]

    assert found == [Verdict.SUCCESS, Verdict.FAILURE]
    assert [record.getMessage() for record in caplog.records] == [
        "is_failure failed reason=status 200",
        "is_failure failed reason=status 500",
    ]
