"""What is told of attempts."""

from __future__ import annotations

import pickle
import traceback

import pytest

from lbtransport import Attempt, Backend, Exchange, Fault, Outcome, Stage
from lbtransport._types.answers import outcome_of_status
from lbtransport._types.attempt import annotate
from lbtransport._types.outcome import CANCELLED, FAULTS, NEUTRAL, SUCCESS
from tests.core_kit import REFUSED, A, B

BOTH = (Attempt(Backend(A), REFUSED, 0.0021), Attempt(Backend(B), SUCCESS, 0.25))


@pytest.mark.parametrize(
    ("outcome", "stage"),
    [
        (SUCCESS, Stage.ANSWERED),
        (outcome_of_status(404), Stage.ANSWERED),
        (outcome_of_status(500), Stage.ANSWERED),
        (FAULTS[Fault.BODY], Stage.ANSWERED),
        (FAULTS[Fault.CERTIFICATE], Stage.NOT_CONNECTED),
        (FAULTS[Fault.POOL], Stage.NOT_CONNECTED),
        (FAULTS[Fault.UNPROCESSED], Stage.REFUSED),
        (FAULTS[Fault.STALE], Stage.STALE),
        (FAULTS[Fault.RESPONSE_TIMEOUT], Stage.SENT),
        (FAULTS[Fault.PROXY], Stage.UNKNOWN),
        (NEUTRAL, Stage.UNKNOWN),
        (CANCELLED, Stage.UNKNOWN),
    ],
)
def test_stage_follows_from_the_outcome(outcome: Outcome, stage: Stage) -> None:
    assert Attempt(Backend(A), outcome, 0.1).stage is stage


def test_each_fault_has_its_stage() -> None:
    for outcome in FAULTS.values():
        assert isinstance(Attempt(Backend(A), outcome, 0.1).stage, Stage)


def test_attempt_is_told_in_a_few_words() -> None:
    assert [str(attempt) for attempt in BOTH] == [
        f"{A} (connect, 0.002 s)",
        f"{B} (success, 0.250 s)",
    ]


def test_exchange_survives_pickling_without_secrets() -> None:
    backend = Backend("http://user:hush@10.0.0.1")
    exchange = Exchange("orders", (Attempt(backend, SUCCESS, 0.1),))

    pickled = pickle.dumps(exchange)

    assert pickle.loads(pickled) == exchange
    assert b"hush" not in pickled
    assert "hush" not in repr(exchange)


def test_error_tells_what_was_tried_and_so_does_its_traceback() -> None:
    error = OSError("down")

    annotate(error, "orders", BOTH)

    assert error.attempts == BOTH  # type: ignore[attr-defined]  # given by annotate
    assert traceback.format_exception(error)[-1].strip() == (
        f"2 attempts for 'orders': {A} (connect, 0.002 s), {B} (success, 0.250 s)"
    )


def test_single_attempt_is_told_as_one() -> None:
    error = OSError("down")

    annotate(error, "orders", BOTH[:1])

    assert error.__notes__ == [f"one attempt for 'orders': {A} (connect, 0.002 s)"]


def test_error_of_no_attempt_tells_of_none() -> None:
    error = OSError("down")

    annotate(error, "orders", ())

    assert not hasattr(error, "attempts")
    assert not hasattr(error, "__notes__")


def test_error_that_is_raised_again_and_again_gathers_no_notes() -> None:
    error = OSError("down")

    annotate(error, "orders", BOTH[:1])
    annotate(error, "orders", BOTH)

    assert len(error.__notes__) == 1
    assert error.attempts == BOTH  # type: ignore[attr-defined]  # as above
