"""How a user's own tenacity object ends an exchange, and what it is told of it."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Generator
from typing import Any

import pytest
import tenacity
from tenacity.stop import stop_base

from lbtransport import Backend
from tests.core_kit import A, in_flight, make_service
from tests.exchange.kit import IF_503, Client, refused, timed_out


class GaveUpError(tenacity.RetryError):
    """An error of the user's own."""


def retrying(**options: Any) -> tenacity.Retrying:
    options.setdefault("stop", tenacity.stop_after_attempt(2))
    return tenacity.Retrying(**options)


@pytest.mark.parametrize("reraise", [True, False])
def test_exhausted_answers_leave_the_last_and_no_retry_error(reraise: bool) -> None:
    client = Client(by_backend=lambda url: 503)

    reply = client.ask(retry=retrying(retry=IF_503, reraise=reraise))

    assert reply is client.script.replies[-1]
    assert client.closed == [1, 0]


@pytest.mark.parametrize("reraise", [True, False])
def test_error_class_of_the_users_own_is_raised_for_answers(reraise: bool) -> None:
    client = Client(by_backend=lambda url: 503)
    own = retrying(retry=IF_503, retry_error_cls=GaveUpError, reraise=reraise)

    error = client.fail(GaveUpError, retry=own)

    assert error.last_attempt.result() is client.script.replies[-1]
    assert client.closed == [1, 1]
    assert in_flight(client.service) == 0


def test_error_class_of_the_users_own_is_raised_for_errors() -> None:
    last = refused()
    client = Client(refused(), last)

    error = client.fail(GaveUpError, retry=retrying(retry_error_cls=GaveUpError))

    assert error.__cause__ is last
    assert in_flight(client.service) == 0


def test_reraising_goes_before_the_error_class() -> None:
    last = refused()
    own = retrying(retry_error_cls=GaveUpError, reraise=True)

    assert Client(refused(), last).fail(OSError, retry=own) is last


def test_times_are_those_of_the_attempts() -> None:
    states: list[tuple[float, float, float]] = []

    class Noting(stop_base):
        def __call__(self, state: tenacity.RetryCallState) -> bool:
            assert state.outcome_timestamp is not None
            noted = (state.start_time, state.outcome_timestamp, state.idle_for)
            states.append(noted)
            return state.attempt_number == 3

    sent_at: list[float] = []

    def fail(url: str) -> Exception:
        sent_at.append(time.monotonic())
        return refused()

    client = Client(by_backend=fail)
    began_at = time.monotonic()

    client.fail(
        OSError, retry=retrying(stop=Noting(), wait=tenacity.wait_incrementing(2, 1))
    )

    assert [idle for *_, idle in states] == [0.0, 2.0, 5.0]
    for (started_at, ended_at, _), sent in zip(states, sent_at, strict=True):
        assert began_at <= started_at <= sent_at[0]
        assert sent <= ended_at


def test_stop_by_time_counts_from_the_first_attempt() -> None:
    client = Client(refused())

    client.fail(OSError, retry=retrying(stop=tenacity.stop_after_delay(0)))

    assert len(client.script.sent_to) == 1


def test_tenacitys_own_log_lines_come(caplog: pytest.LogCaptureFixture) -> None:
    log = logging.getLogger("users")
    own = retrying(
        before=tenacity.before_log(log, logging.INFO),
        after=tenacity.after_log(log, logging.INFO),
        before_sleep=tenacity.before_sleep_log(log, logging.INFO),
    )

    with caplog.at_level(logging.INFO, "users"):
        Client(refused()).ask(retry=own)

    lines = [record.message for record in caplog.records if record.name == "users"]
    assert len(lines) == 4
    assert "2nd time" in lines[-1]


def test_own_rules_may_repeat_a_timeout_more_than_once() -> None:
    client = Client(timed_out(), timed_out(), 200)
    own = retrying(stop=tenacity.stop_after_attempt(3))

    assert client.ask(retry=own).status == 200


def test_asking_to_try_again_is_heeded() -> None:
    service, answers = make_service([A], retry=retrying()), [tenacity.TryAgain(), 7]

    def call(backend: Backend) -> object:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert service.execute(call) == 7


class Awaitable7:
    """An answer that could be awaited, and is not to be."""

    def __await__(self) -> Generator[Any, Any, int]:
        raise AssertionError


@pytest.mark.parametrize("kind", [tenacity.Retrying, tenacity.AsyncRetrying])
async def test_answer_that_can_be_awaited_is_left_alone_by_a_task(kind: Any) -> None:
    service, answer = make_service([A], retry=kind()), Awaitable7()

    async def call(backend: Backend) -> Awaitable[int]:
        return answer

    assert await service.execute_async(call) is answer


def test_answer_that_can_be_awaited_is_left_alone_by_a_thread() -> None:
    service, answer = make_service([A], retry=tenacity.Retrying()), Awaitable7()

    assert service.execute(lambda backend: answer) is answer
