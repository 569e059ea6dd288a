"""What may be repeated, how often, and after which wait."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest
import tenacity
from hypothesis import given
from hypothesis import strategies as st

from lbtransport import ConfigurationError, Outcome, RetryPolicy
from lbtransport._clock import ManualClock
from lbtransport._types import Fault
from lbtransport._types.answers import outcome_of_answer, outcome_of_status
from lbtransport._types.outcome import FAULTS
from lbtransport.retry import (
    IDEMPOTENT_METHODS,
    Plan,
    Standing,
    make_plan,
    stop_before_deadline,
    wait_untried,
)
from tests.core_kit import Job

WALL = 1_700_000_000.0
OWN = tenacity.Retrying(stop=tenacity.stop_after_attempt(3))

# The policy


def test_policy_defaults() -> None:
    policy = RetryPolicy()

    assert policy.attempts == 3
    assert policy.statuses == {502, 503, 504}
    assert policy.methods == {
        "GET",
        "HEAD",
        "OPTIONS",
        "TRACE",
        "PUT",
        "DELETE",
        "QUERY",
    }
    assert (policy.min_wait, policy.max_wait) == (0.025, 1.0)


def test_policy_takes_any_collection_and_methods_in_any_case() -> None:
    policy = RetryPolicy(statuses=[500, 503, 500], methods=["get", "Post"])

    assert (policy.statuses, policy.methods) == ({500, 503}, {"GET", "POST"})
    assert hash(policy) == hash(
        RetryPolicy(statuses={503, 500}, methods=("POST", "GET"))
    )


@pytest.mark.parametrize(
    "values",
    [
        {"attempts": 0},
        {"attempts": 2.0},
        {"attempts": True},
        {"statuses": [200]},
        {"statuses": [600]},
        {"statuses": ["503"]},
        {"min_wait": -1},
        {"min_wait": "1s"},
        {"max_wait": 0.01},
        {"max_wait": float("inf")},
        {"budget_ratio": 20},
        {"hedge_percentile": 95},
        {"hedge_ratio": 6},
        {"methods": "GET"},
        {"repeat_stale": "yes"},
        {"attempt_timeout": 0},
    ],
)
def test_policy_out_of_range_is_refused(values: dict[str, Any]) -> None:
    (name,) = values

    with pytest.raises(ConfigurationError, match=f"{name}="):
        RetryPolicy(**values)


# Plans


@pytest.mark.parametrize("retry", [None, True])
def test_default_plan(retry: bool | None) -> None:
    plan = make_plan(retry)

    assert plan.policy == RetryPolicy()
    assert not plan.is_own


@pytest.mark.parametrize(
    "retry",
    [False, RetryPolicy(attempts=1), tenacity.Retrying(enabled=False)],
    ids=["False", "one attempt", "disabled"],
)
def test_plan_without_retries(retry: Any) -> None:
    plan = make_plan(retry)

    assert plan.policy.attempts == 1
    assert not plan.is_own


def test_plan_of_the_same_policy_is_the_same() -> None:
    assert make_plan(RetryPolicy(attempts=7)) is make_plan(RetryPolicy(attempts=7))


@pytest.mark.parametrize("kind", [tenacity.Retrying, tenacity.AsyncRetrying])
def test_own_tenacity_object_is_kept(kind: type[tenacity.BaseRetrying]) -> None:
    stop, wait = tenacity.stop_after_attempt(9), tenacity.wait_fixed(3)

    plan = make_plan(kind(stop=stop, wait=wait))

    assert plan.is_own
    assert type(plan.retrying) is kind
    assert (plan.retrying.stop, plan.retrying.wait) == (stop, wait)


def test_own_callback_at_the_end_is_kept() -> None:
    own = tenacity.Retrying(retry_error_callback=lambda state: "fallback")

    assert make_plan(own).retrying is own


@pytest.mark.parametrize("retry", [3, "never", 1.5, object(), RetryPolicy])
def test_what_is_no_retry_policy_is_refused(retry: Any) -> None:
    with pytest.raises(ConfigurationError, match="is no retry policy; give a RetryPol"):
        make_plan(retry)


# May it be repeated?


def may_repeat(outcome: Outcome, plan: Plan | None = None, **job: Any) -> bool:
    return (plan or make_plan(None)).may_repeat(outcome, Job(**job))


def after_status(status: int, plan: Plan | None = None, **job: Any) -> bool:
    return may_repeat(outcome_of_status(status), plan, **job)


@pytest.mark.parametrize("fault", Fault)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_fault_is_repeated_by_what_the_server_may_have_done(
    fault: Fault, method: str
) -> None:
    repeat = FAULTS[fault].repeat.value

    expected = repeat == "any" or (repeat == "idempotent" and method == "GET")

    assert may_repeat(FAULTS[fault], method=method) is expected


@pytest.mark.parametrize("fault", Fault)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_nothing_is_repeated_whose_body_cannot_be(fault: Fault, method: str) -> None:
    assert not may_repeat(FAULTS[fault], method=method, is_replayable=False)


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (200, False),
        (404, False),
        (429, False),
        (500, False),
        (501, False),
        (502, True),
        (503, True),
        (504, True),
        (505, False),
        (507, False),
    ],
)
def test_status_is_repeated_if_the_policy_lists_it(status: int, expected: bool) -> None:
    assert after_status(status) is expected
    assert not after_status(status, method="POST")


@pytest.mark.parametrize("status", [429, 500])
def test_listed_status_is_repeated(status: int) -> None:
    plan = make_plan(RetryPolicy(statuses=[status]))

    assert after_status(status, plan)
    assert not after_status(503, plan)


@pytest.mark.parametrize("status", [429, 503])
def test_throttled_request_is_repeated_whatever_its_method(status: int) -> None:
    headers = {"retry-after": "1"}
    outcome = outcome_of_answer(status, headers, ManualClock(), longest=60.0)

    assert may_repeat(outcome, method="POST")
    assert not may_repeat(outcome, is_replayable=False)


@pytest.mark.parametrize("method", ["POST", "PATCH", "CONNECT", "LOCK", "get", ""])
def test_other_methods_are_not_idempotent(method: str) -> None:
    assert not after_status(503, method=method)


@pytest.mark.parametrize("method", sorted(IDEMPOTENT_METHODS))
def test_idempotent_methods(method: str) -> None:
    assert after_status(503, method=method)


def test_callers_word_overrules_the_method() -> None:
    assert after_status(503, method="POST", is_declared_idempotent=True)
    assert not after_status(503, method="GET", is_declared_idempotent=False)


def test_never_sent_is_repeated_against_the_callers_word() -> None:
    refused = FAULTS[Fault.CONNECT]

    assert may_repeat(refused, method="POST", is_declared_idempotent=False)


@pytest.mark.parametrize("status", [200, 404, 500, 503])
def test_own_object_is_asked_after_every_answer(status: int) -> None:
    assert after_status(status, make_plan(OWN))


@pytest.mark.parametrize("status", [200, 500, 503])
def test_own_object_is_not_asked_to_repeat_a_post(status: int) -> None:
    plan = make_plan(OWN)

    assert not after_status(status, plan, method="POST")
    assert not after_status(status, plan, is_replayable=False)


# Waits and stops


def call(number: int = 1, **standing: Any) -> tenacity.RetryCallState:
    arguments = (Standing(random.Random(7), **standing),)
    state = tenacity.RetryCallState(OWN, None, arguments, {})
    state.attempt_number = number
    return state


def test_untried_backend_is_not_waited_for() -> None:
    wait = wait_untried(0.025, 1.0)

    assert wait(call(9, has_untried=True, retry_after=30.0)) == 0


@given(
    number=st.integers(1, 10**6),
    minimum=st.floats(0, 10),
    more=st.floats(0, 10),
    retry_after=st.floats(0, 60),
)
def test_wait_is_jittered_in_full_and_honours_retry_after(
    number: int, minimum: float, more: float, retry_after: float
) -> None:
    maximum = minimum + more
    state = call(number, has_untried=False, retry_after=retry_after)

    seconds = wait_untried(minimum, maximum)(state)

    assert retry_after <= seconds <= max(retry_after, maximum)


@pytest.mark.parametrize(
    ("number", "limit"), [(1, 0.025), (2, 0.05), (3, 0.1), (7, 1.0), (5000, 1.0)]
)
def test_wait_doubles_its_limit(number: int, limit: float) -> None:
    drawn = random.Random(7).random()

    seconds = wait_untried(0.025, 1.0)(call(number, has_untried=False))

    assert seconds == pytest.approx(drawn * limit)


@pytest.mark.parametrize(
    ("sleep", "remaining", "stops"),
    [
        (0.0, math.inf, False),
        (1.0, math.inf, False),
        (1.0, 1.1, False),
        (1.0, 1.0, True),
        (1.0, 0.9, True),
        (0.0, 0.1, False),
        (0.0, 0.0, True),
        (0.0, -1.0, True),
    ],
)
def test_stops_if_the_next_attempt_could_only_begin_after_the_deadline(
    sleep: float, remaining: float, stops: bool
) -> None:
    state = call(remaining=remaining)
    state.upcoming_sleep = sleep

    assert stop_before_deadline()(state) is stops
