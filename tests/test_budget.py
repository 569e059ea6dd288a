"""How many retries a service can bear."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbtransport import ConfigurationError, RetryPolicy
from lbtransport._budget import Budget

NOW = 1000.0


class Account:
    """A budget, and who counts the selections."""

    def __init__(
        self, ratio: float = 0.2, per_second: float = 3.0, window: float = 10.0
    ) -> None:
        self.budget = Budget(ratio=ratio, per_second=per_second, window=window, now=NOW)
        self.selections = 0

    def retry(self, now: float) -> bool:
        """Tell whether a retry was paid for, and made."""
        can_pay = self.budget.can_pay(self.selections, now)
        if can_pay:
            self.budget.pay()
            self.selections += 1
        return can_pay


def granted(account: Account, now: float, *, at_most: int = 10_000) -> int:
    """Return how many retries in a row are paid for."""
    for number in range(at_most):
        if not account.retry(now):
            return number
    return at_most


def test_few_requests_may_be_repeated_from_the_start() -> None:
    assert granted(Account(), NOW) == 9


def test_advance_is_paid_back_before_more_is_saved() -> None:
    account = Account()
    granted(account, NOW)

    assert granted(account, NOW + 3.0) == 0
    assert granted(account, NOW + 4.0) == 3


def test_no_more_is_saved_than_three_seconds_worth() -> None:
    account = Account()

    assert granted(account, NOW + 3600) == 9
    assert granted(account, NOW + 3601) == 3


def test_one_retry_is_saved_however_long_that_takes() -> None:
    account = Account(per_second=0.1)

    assert granted(account, NOW) == 1
    assert granted(account, NOW + 19.9) == 0
    assert granted(account, NOW + 20.0) == 1


def test_requests_allow_their_share() -> None:
    account = Account(per_second=0)
    account.selections = 100

    assert granted(account, NOW) == 20


def test_without_requests_and_savings_there_is_nothing() -> None:
    assert granted(Account(per_second=0), NOW) == 0


def test_retries_are_no_requests() -> None:
    account = Account(ratio=1.0, per_second=0)
    account.selections = 5

    assert granted(account, NOW) == 5


def test_requests_are_forgotten_and_so_are_retries() -> None:
    account = Account(per_second=0)
    account.selections = 100
    assert account.retry(NOW)  # counts them as of now

    # A tenth of the window's requests is left, and a tenth of the one retry.
    assert granted(account, NOW + 10 * math.log(10)) == 1


def test_requests_since_the_last_look_came_evenly() -> None:
    account = Account(per_second=0)
    account.selections = 1000  # in the course of 100 s

    # What is left of 10 for each second is worth 10 seconds of them.
    assert granted(account, NOW + 100) == pytest.approx(0.2 * 100, abs=1)


def test_refusal_is_news_once_in_a_window() -> None:
    account = Account(window=10.0)

    news = [account.budget.is_news(NOW + seconds) for seconds in (0, 5, 14, 24, 34.5)]

    assert news == [True, False, False, False, True]


@given(
    st.lists(
        st.tuples(st.floats(0, 3), st.integers(0, 50), st.integers(0, 50)), max_size=40
    )
)
def test_retries_never_exceed_their_share_and_what_the_seconds_gave(
    course: list[tuple[float, int, int]],
) -> None:
    account = Account()
    now, offered, retried = NOW, 0, 0

    for seconds, requests, wishes in course:
        now += seconds
        account.selections += requests
        offered += requests
        retried += granted(account, now, at_most=wishes)

        assert retried <= 0.2 * offered + max(9, 3 * (now - NOW)) + 1e-6


@pytest.mark.parametrize(
    "wrong",
    [
        {"budget_ratio": -0.1},
        {"budget_ratio": math.nan},
        {"budget_per_second": -1},
        {"budget_window": 0},
    ],
)
def test_policy_refuses_what_makes_no_sense(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(wrong))):
        RetryPolicy(**wrong)  # type: ignore[arg-type]  # mypy does not see which
