"""What an answer says: its status, and its Retry-After."""

from __future__ import annotations

import math
import time
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbtransport import HealthPolicy, Outcome
from lbtransport._clock import ManualClock
from lbtransport._types import Repeat, Verdict
from lbtransport._types.answers import (
    outcome_of_answer,
    outcome_of_status,
    retry_after,
)

WALL = 1_700_000_000.0
LONGEST = HealthPolicy().max_throttle_time


def outcome_of(status: int, value: str, *, longest: float = LONGEST) -> Outcome:
    """Return the outcome of an answer with this Retry-After, at instant 100."""
    headers = {"retry-after": value}
    return outcome_of_answer(status, headers, ManualClock(100.0), longest=longest)


def asked(**headers: str) -> float | None:
    """Return what headers ask for; an underscore stands for a hyphen."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return retry_after(named, ManualClock(WALL))


def date(seconds: float) -> str:
    """Return the HTTP date of so many seconds from now."""
    return formatdate(WALL + seconds, usegmt=True)


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
    outcome = outcome_of(status, "5")

    assert outcome.until == 105.0
    assert (outcome.health, outcome.repeat) == (Verdict.NEUTRAL, Repeat.ANY)
    assert not outcome.sample


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("0.5", 0.5), ("60", 60.0), ("61", LONGEST), ("9" * 400, LONGEST)],
)
def test_retry_after_is_capped(value: str, seconds: float) -> None:
    assert outcome_of(503, value).until == 100.0 + seconds


def test_cap_is_the_policys() -> None:
    assert outcome_of(503, "600", longest=300.0).until == 400.0


def test_cap_of_zero_honours_no_retry_after() -> None:
    outcome = outcome_of(503, "600", longest=0.0)

    assert (outcome.health, outcome.until) == (Verdict.FAILURE, None)


def test_retry_after_that_cannot_be_read_leaves_the_status() -> None:
    assert outcome_of(503, "soon") == outcome_of_status(503)


@pytest.mark.parametrize("value", ["0", "-1", "Thu, 01 Jan 1970 00:00:00 GMT"])
def test_retry_after_of_no_time_may_be_repeated_and_excuses_nobody(value: str) -> None:
    outcome = outcome_of(503, value)

    assert (outcome.health, outcome.repeat) == (Verdict.FAILURE, Repeat.ANY)
    assert outcome.until is None
    assert not outcome.is_unsent


@pytest.mark.parametrize("status", [200, 301, 500, 502, 504])
def test_retry_after_of_another_status_says_nothing(status: int) -> None:
    assert outcome_of(status, "5") == outcome_of_status(status)


# Retry-After


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("", None),
        ("120", 120.0),
        (" 7 ", 7.0),
        ("0", 0.0),
        ("-3", 0.0),
        ("+3", 3.0),
        ("1.5", 1.5),
        ("1.", 1.0),
        ("9" * 400, math.inf),
        ("-" + "9" * 400, 0.0),
        ("soon", None),
        ("nan", None),
        ("inf", None),
        ("-inf", None),
        ("1_000", None),
        ("1e3", None),
        ("\u0665", None),  # a digit, but an Arabic one
        ("5 s", None),
        (date(30), 30.0),
        (date(-30), 0.0),
        ("Wed, 99 Nov 2023 22:13:50 GMT", None),
        ("Wed, 21 Oct 2015", None),
    ],
)
def test_retry_after_is_read(value: str, seconds: float | None) -> None:
    assert asked(retry_after=value) == seconds


@pytest.mark.parametrize(
    "value",
    [
        "Tue, 14 Nov 2023 22:13:50 GMT",
        "Tuesday, 14-Nov-23 22:13:50 GMT",
        "Tue Nov 14 22:13:50 2023",
        "Tue, 14 Nov 2023 22:13:50 -0000",
    ],
)
def test_dates_are_read_in_all_their_forms_wherever_we_are(
    value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "Pacific/Kiritimati")
    time.tzset()
    try:
        assert asked(retry_after=value) == 30.0
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize("skew", [-3600.0, 3600.0])
def test_date_is_that_of_the_servers_own_clock(skew: float) -> None:
    assert asked(retry_after=date(skew + 30), date=date(skew)) == 30.0


def test_date_header_that_cannot_be_read_leaves_our_own_clock() -> None:
    assert asked(retry_after=date(30), date="today") == 30.0


def test_date_header_does_not_touch_seconds() -> None:
    assert asked(retry_after="30", date=date(-3600)) == 30.0


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("1500", 1.5),
        (" 20.5 ", 0.0205),
        ("0", 0.0),
        ("-5", 0.0),
        ("100, 300, 200", 0.3),
        ("soon, 300", 0.3),
    ],
)
def test_milliseconds_come_before_seconds(value: str, seconds: float) -> None:
    assert asked(retry_after_ms=value, retry_after="7") == pytest.approx(seconds)
    assert asked(retry_after_ms=value) == pytest.approx(seconds)


@pytest.mark.parametrize("value", ["", "soon", "nan", date(30)])
def test_milliseconds_that_cannot_be_read_leave_the_seconds(value: str) -> None:
    assert asked(retry_after_ms=value, retry_after="7") == 7.0
    assert asked(retry_after_ms=value) is None


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("5, 10", 10.0),
        ("10, 5", 10.0),
        ("soon, 5", 5.0),
        ("-5, soon", 0.0),
        (f"{date(30)}, {date(90)}", 90.0),
        (f"{date(30)}, 5,", 30.0),
        (f"5,{date(30)}", 30.0),
    ],
)
def test_of_several_values_the_longest_counts(value: str, seconds: float) -> None:
    assert asked(retry_after=value) == seconds


@given(values=st.lists(st.integers(-10, 100).map(str), min_size=1))
def test_no_order_of_values_changes_what_counts(values: list[str]) -> None:
    expected = max(0, *map(int, values), 0)

    assert asked(retry_after=", ".join(values)) == expected


@given(value=st.text(), other=st.text(), sent=st.text())
def test_no_text_breaks_the_reading(value: str, other: str, sent: str) -> None:
    seconds = asked(retry_after=value, retry_after_ms=other, date=sent)

    assert seconds is None or seconds >= 0


number = st.integers(-(10**10), 10**10).map(str)
dates = st.builds(
    "Wed, {} {} {} {} {}".format,
    number,
    st.sampled_from(["Jan", "Dec", "Foo", ""]),
    number,
    st.sampled_from(["00:00:00", "99:99:99", "1:2", "", "23:59:60"]),
    st.sampled_from(["GMT", "-0000", "+9999", "-99999999", "EST", ""]),
)


@given(value=dates, sent=dates)
def test_no_date_breaks_the_reading(value: str, sent: str) -> None:
    seconds = asked(retry_after=value, date=sent)

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
    seconds = asked(retry_after=value)

    assert seconds is None or 0 <= seconds < math.inf
