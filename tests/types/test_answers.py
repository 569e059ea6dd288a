"""What an answer says: its status, and its Retry-After."""

from __future__ import annotations

import math
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbtransport import Outcome
from lbtransport._clock import ManualClock
from lbtransport._types import Repeat, Verdict
from lbtransport._types.answers import (
    MAX_RETRY_AFTER,
    outcome_of_answer,
    outcome_of_status,
    parse_retry_after,
)

WALL = 1_700_000_000.0


@pytest.mark.parametrize("status", [100, 200, 204, 301, 304])
def test_good_status_is_the_one_success(status: int) -> None:
    assert outcome_of_status(status) is Outcome.success()


@pytest.mark.parametrize("status", [400, 404, 422, 429, 501, 505])
def test_status_about_the_request_blames_nobody(status: int) -> None:
    outcome = outcome_of_status(status)

    assert outcome.health is Verdict.SUCCESS
    assert outcome.status == status
    assert outcome.sample


@pytest.mark.parametrize("status", [500, 502, 503, 504, 507, 599])
def test_server_error_blames_and_may_be_the_requests_fault(status: int) -> None:
    outcome = outcome_of_status(status)

    assert outcome.health is Verdict.FAILURE
    assert (outcome.reason, outcome.status) == (f"status {status}", status)
    assert (outcome.shared, outcome.hard, outcome.sample) == (True, False, False)


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_throttles_without_blame(status: int) -> None:
    outcome = outcome_of_answer(status, "5", ManualClock(100.0))

    assert outcome.until == 105.0
    assert (outcome.health, outcome.repeat) == (Verdict.NEUTRAL, Repeat.ANY)
    assert not outcome.sample


@pytest.mark.parametrize(
    ("retry_after", "seconds"),
    [("0.5", 0.5), ("60", 60.0), ("61", MAX_RETRY_AFTER)],
)
def test_retry_after_is_clamped(retry_after: str, seconds: float) -> None:
    outcome = outcome_of_answer(503, retry_after, ManualClock(100.0))

    assert outcome.until == 100.0 + seconds


def test_retry_after_that_cannot_be_read_leaves_the_status() -> None:
    assert outcome_of_answer(503, "soon", ManualClock()) == outcome_of_status(503)


@pytest.mark.parametrize("retry_after", ["0", "-1"])
def test_retry_after_of_no_time_may_be_repeated_and_excuses_nobody(
    retry_after: str,
) -> None:
    outcome = outcome_of_answer(503, retry_after, ManualClock())

    assert (outcome.health, outcome.repeat) == (Verdict.FAILURE, Repeat.ANY)
    assert outcome.until is None
    assert not outcome.is_unsent


@pytest.mark.parametrize("status", [200, 301, 500, 502, 504])
def test_retry_after_of_another_status_says_nothing(status: int) -> None:
    outcome = outcome_of_answer(status, "5", ManualClock())

    assert outcome == outcome_of_status(status)


# Retry-After


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("", None),
        ("120", 120.0),
        (" 7 ", 7.0),
        ("0", 0.0),
        ("-3", 0.0),
        ("1.5", 1.5),
        ("soon", None),
        ("nan", None),
        ("inf", None),
        ("-inf", 0.0),
        (formatdate(WALL + 30, usegmt=True), 30.0),
        (formatdate(WALL - 30, usegmt=True), 0.0),
        ("Wed, 99 Nov 2023 22:13:50 GMT", None),
        ("Wed, 21 Oct 2015", None),
    ],
)
def test_retry_after_is_read(value: str, seconds: float | None) -> None:
    assert parse_retry_after(value, WALL) == seconds


@given(value=st.text())
def test_no_text_breaks_the_reading(value: str) -> None:
    seconds = parse_retry_after(value, WALL)

    assert seconds is None or 0 <= seconds < math.inf


number = st.integers(-(10**10), 10**10).map(str)


@given(
    day=number,
    month=st.sampled_from(["Jan", "Dec", "Foo", ""]),
    year=number,
    time=st.sampled_from(["00:00:00", "99:99:99", "1:2", "", "23:59:60"]),
    zone=st.sampled_from(["GMT", "-0000", "+9999", "-99999999", "EST", ""]),
)
def test_no_date_breaks_the_reading(
    day: str, month: str, year: str, time: str, zone: str
) -> None:
    seconds = parse_retry_after(f"Wed, {day} {month} {year} {time} {zone}", WALL)

    assert seconds is None or 0 <= seconds < math.inf


@pytest.mark.parametrize(
    "value",
    [
        "Mon, 01 Jan 0001 00:00:00 +2359",
        "Fri, 31 Dec 9999 23:59:59 -2359",
        "Mon, 01 Jan 0001 00:00:00 -0000",
        "Fri, 31 Dec 9999 23:59:59 -0000",
    ],
)
def test_date_at_the_edge_of_time_does_not_break_the_reading(value: str) -> None:
    seconds = parse_retry_after(value, WALL)

    assert seconds is None or 0 <= seconds < math.inf
