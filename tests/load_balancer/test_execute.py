"""A function called by way of a service, which repeats it as it does a request."""

from __future__ import annotations

import threading
from typing import Any

import httpx
import pytest
import requests
import tenacity
from anyio.lowlevel import checkpoint

from lbtransport import (
    Backend,
    ConfigurationError,
    HealthPolicy,
    LoadBalancer,
    NoBackendsAvailable,
    RetryPolicy,
    options,
)
from lbtransport.strategies.round_robin import RoundRobin
from tests.core_kit import A, B, C, advance, in_flight, make_service, stats_of
from tests.servers import PATIENCE


def refuse(backend: Backend) -> Any:
    raise ConnectionRefusedError(backend.url)


def test_execute_returns_what_the_function_returned() -> None:
    service = make_service([A])

    assert service.execute(lambda backend: backend.url) == A

    assert in_flight(service) == 0
    assert stats_of(service, A).latency == 0.0


@pytest.mark.parametrize("result", [None, False, 0, ()])
def test_execute_may_return_nothing(result: object) -> None:
    assert make_service([A]).execute(lambda backend: result) == result


def test_execute_raises_the_last_error_as_it_is() -> None:
    service, errors = make_service(), list[Exception]()

    def fail(backend: Backend) -> None:
        errors.append(ConnectionRefusedError(backend.url))
        raise errors[-1]

    with pytest.raises(ConnectionRefusedError) as caught:
        service.execute(fail)

    assert caught.value is errors[-1]
    assert sorted(str(error) for error in errors) == [A, B, C]
    assert in_flight(service) == 0


def test_execute_without_backends_raises() -> None:
    with pytest.raises(NoBackendsAvailable):
        make_service([]).execute(refuse)


def calls_of(
    service: LoadBalancer, error: BaseException, *, idempotent: bool = True
) -> int:
    calls: list[None] = []

    def fail(backend: Backend) -> None:
        calls.append(None)
        raise error

    with pytest.raises(type(error)):
        service.execute(fail, idempotent=idempotent)
    return len(calls)


def test_execute_repeats_what_is_idempotent() -> None:
    reset = ConnectionResetError()

    assert calls_of(make_service(), reset) == 3
    assert calls_of(make_service(), reset, idempotent=False) == 1


def test_execute_repeats_what_was_never_sent() -> None:
    assert calls_of(make_service(), ConnectionRefusedError(), idempotent=False) == 3


@pytest.mark.parametrize("error", [ValueError("bug"), KeyError("bug")])
def test_execute_does_not_repeat_a_bug(error: Exception) -> None:
    service = make_service()

    assert calls_of(service, error) == 1
    assert sum(b.failures for b in service.stats().backends) == 0


def test_stop_iteration_leaves_execute_as_it_leaves_any_generator() -> None:
    service = make_service()

    with pytest.raises(RuntimeError) as caught:
        service.execute(lambda backend: next(iter(())))

    assert isinstance(caught.value.__cause__, StopIteration)
    assert in_flight(service) == 0


def test_execute_repeats_a_status_that_was_raised() -> None:
    service, called = make_service(), list[str]()

    def ask(backend: Backend) -> int:
        called.append(backend.url)
        request = httpx.Request("GET", backend.url)
        status = 503 if len(called) == 1 else 200
        response = httpx.Response(status, request=request)
        return response.raise_for_status().status_code

    assert service.execute(ask) == 200
    assert len(set(called)) == 2


def test_execute_does_not_repeat_a_status_of_the_request() -> None:
    response = requests.Response()
    response.status_code = 404

    assert calls_of(make_service(), requests.HTTPError(response=response)) == 1


def test_own_tenacity_object_decides_about_results_of_execute() -> None:
    retrying = tenacity.Retrying(
        stop=tenacity.stop_after_attempt(3),
        retry=tenacity.retry_if_result(lambda result: result is None),
    )
    service, results = make_service(retry=retrying), [None, None, "there"]

    assert service.execute(lambda backend: results.pop(0)) == "there"


def test_own_tenacity_object_decides_about_errors_of_execute() -> None:
    retrying = tenacity.Retrying(
        stop=tenacity.stop_after_attempt(3),
        retry=tenacity.retry_if_exception_type(ValueError),
    )

    assert calls_of(make_service(retry=retrying), ValueError()) == 3
    service = make_service(retry=retrying)
    assert calls_of(service, ValueError(), idempotent=False) == 1


def test_services_own_retry_policy_holds() -> None:
    service = make_service(retry=RetryPolicy(attempts=2))

    assert calls_of(service, ConnectionRefusedError()) == 2


def test_options_overrule_the_service() -> None:
    service = make_service(retry=RetryPolicy(attempts=2))

    with options(retry=False):
        assert calls_of(service, ConnectionRefusedError()) == 1
    with options(retry=RetryPolicy(attempts=3)):
        assert calls_of(service, ConnectionRefusedError()) == 3
    with options(idempotent=False):
        assert calls_of(service, ConnectionResetError()) == 1
    with options(idempotent=True):
        assert calls_of(service, ConnectionResetError(), idempotent=False) == 2


@pytest.mark.parametrize("deadline", ["service", "options"])
def test_deadline_ends_the_attempts(deadline: str) -> None:
    service = make_service(deadline=1.0 if deadline == "service" else None)
    calls: list[None] = []

    def fail(backend: Backend) -> None:
        calls.append(None)
        advance(service, 0.6)
        raise ConnectionRefusedError

    with pytest.raises(ConnectionRefusedError):
        if deadline == "service":
            service.execute(fail)
        else:
            with options(deadline=1.0):
                service.execute(fail)

    assert len(calls) == 2


class Keyed(RoundRobin):
    """A strategy that notes the keys."""

    def __init__(self) -> None:
        super().__init__()
        self.keys: list[Any] = []

    def choose(self, candidates: Any, **rest: Any) -> Any:
        self.keys.append(rest["key"])
        return super().choose(candidates, **rest)


def test_key_of_a_call_wins_over_that_of_the_options() -> None:
    strategy = Keyed()
    service = make_service([A], strategy=strategy)

    with options(key="outer"):
        service.execute(lambda backend: None)
        service.execute(lambda backend: None, key="own")
    service.select(key=0).release()

    assert strategy.keys == ["outer", "own", 0]


async def test_execute_async_returns_what_was_awaited() -> None:
    service = make_service([A])

    async def ask(backend: Backend) -> str:
        await checkpoint()
        return backend.url

    assert await service.execute_async(ask) == A
    assert in_flight(service) == 0


async def test_execute_async_follows_options() -> None:
    service = make_service()
    calls: list[None] = []

    async def fail(backend: Backend) -> None:
        await checkpoint()
        calls.append(None)
        raise ConnectionRefusedError

    with options(retry=False), pytest.raises(ConnectionRefusedError):
        await service.execute_async(fail)

    assert len(calls) == 1


def test_awaiting_object_is_refused_by_execute() -> None:
    service = make_service(retry=tenacity.AsyncRetrying())

    with pytest.raises(ConfigurationError, match="a synchronous client cannot"):
        service.execute(refuse)

    assert in_flight(service) == 0


def test_tenacity_object_of_ones_own_may_answer_in_the_end() -> None:
    own = tenacity.Retrying(
        stop=tenacity.stop_after_attempt(2), retry_error_callback=lambda state: "nobody"
    )

    assert make_service(retry=own).execute(refuse) == "nobody"


@pytest.mark.parametrize(("status", "failures"), [(429, 1), (500, 0)])
def test_status_in_an_error_counts_by_the_policy(status: int, failures: int) -> None:
    service = make_service([A], health=HealthPolicy(failure_statuses={429}))

    def ask(backend: Backend) -> None:
        request = httpx.Request("GET", backend.url)
        httpx.Response(status, request=request).raise_for_status()

    with pytest.raises(httpx.HTTPStatusError):
        service.execute(ask)

    assert stats_of(service, A).failures == failures


def test_result_is_judged_by_a_function_of_the_users() -> None:
    rules = HealthPolicy(is_failure=lambda result: result == "sick")
    service = make_service([A], health=rules)

    service.execute(lambda backend: "well")
    assert service.execute(lambda backend: "sick") == "sick"

    assert stats_of(service, A).failures == 1


async def test_awaited_result_is_judged_by_a_function_of_the_users() -> None:
    rules = HealthPolicy(is_failure=lambda result: result == "sick")
    service = make_service([A], health=rules)

    async def ask(backend: Backend) -> str:
        await checkpoint()
        return "sick"

    assert await service.execute_async(ask) == "sick"

    assert stats_of(service, A).failures == 1


def test_execute_may_be_hedged() -> None:
    service = make_service([A, B], retry=RetryPolicy(hedge_percentile=0.95))
    for _ in range(100):
        with service.select() as selection:
            selection.responded()
    called = list[str]()
    is_over = threading.Event()

    def call(backend: Backend) -> str:
        called.append(backend.url)
        if len(called) == 1:
            assert is_over.wait(PATIENCE)
        return backend.url

    answer = service.execute(call)
    is_over.set()

    assert called == [called[0], answer]
    assert set(called) == {A, B}
