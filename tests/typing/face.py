"""What a type checker says of the public face: for mypy and pyright, never run.

Each `assert_type` is a promise to users; `mistakes.py` holds what must be refused.
The types gate checks this folder with mypy, as it stands; the typing gate checks it
against the installed wheel, with mypy and with pyright.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Any, Literal, assert_type

import httpx
import tenacity

import lbtransport
from lbtransport import (
    Backend,
    BackendStats,
    Fault,
    HealthPolicy,
    LoadBalancer,
    Outcome,
    Repeat,
    RetryPolicy,
    Selection,
    ServiceStats,
    Verdict,
    events,
    options,
)
from lbtransport.strategies import Candidates, Member, Strategy
from lbtransport.testing import ManualClock, SystemClock, disabled


def constructing() -> None:
    assert_type(LoadBalancer("orders"), LoadBalancer)
    assert_type(LoadBalancer("orders", ["http://10.0.0.1:8080"]), LoadBalancer)
    orders = LoadBalancer(
        "orders:8080",
        ("http://10.0.0.1", Backend("http://10.0.0.2", weight=3, zone="b")),
        strategy="round_robin",
        retry=RetryPolicy(attempts=5, statuses={502, 503}, methods=["GET"]),
        health=HealthPolicy(consecutive_failures=3, max_ejected=0.3, fail_open=False),
        deadline=0.5,
        max_in_flight=10,
        zone="a",
        subset=20,
        host="logical",
        tls_name="backend",
        allow_plaintext=True,
        clock=ManualClock(),
        rng=random.Random(7),
    )
    assert_type(orders.name, str)
    with orders as entered:
        assert_type(entered, LoadBalancer)
    LoadBalancer("orders", key="header:X-User")
    LoadBalancer("orders", key=["header:X-User", "path"])
    LoadBalancer("orders", key=user_of)
    LoadBalancer("orders", retry=False, clock=SystemClock())
    LoadBalancer("orders", retry=tenacity.Retrying())
    LoadBalancer("orders", retry=tenacity.AsyncRetrying())
    LoadBalancer("orders", retry=None, health=None, strategy=First())


def user_of(request: httpx.Request) -> str:
    return request.headers["X-User"]


class First:
    """A strategy of a user's own."""

    def members_changed(self, members: object) -> None: ...

    def choose(
        self, candidates: Candidates, *, key: object, now: float, rng: random.Random
    ) -> Member:
        assert_type(candidates[0].backend, Backend)
        assert_type(candidates[0].in_flight, int)
        return candidates[0]


def is_a_strategy(own: First) -> Strategy:
    return own


def backends() -> None:
    backend = Backend(
        "http://10.0.0.1",
        weight=0.5,
        priority=1,
        zone="a",
        host="orders.example",
        tls_name="logical",
        headers={"X-Key": "secret"},
        metadata={"rack": 7},
    )
    assert_type(backend.url, str)
    assert_type(backend.weight, float)
    assert_type(backend.priority, int)
    assert_type(backend.zone, str | None)
    assert_type(backend.host, str | None)
    assert_type(backend.tls_name, str | None)
    assert_type(backend.headers, Mapping[str, str] | None)
    assert_type(backend.metadata, Mapping[str, Any] | None)


def policies(retry: RetryPolicy, health: HealthPolicy) -> None:
    assert_type(retry.attempts, int)
    assert_type(retry.min_wait, float)
    assert_type(retry.max_wait, float)
    assert_type(health.consecutive_failures, int)
    assert_type(health.base_ejection_time, float)
    assert_type(health.max_ejection_time, float)
    assert_type(health.max_ejected, float)
    assert_type(health.fail_open, bool)


def selecting(orders: LoadBalancer) -> None:
    selection = orders.select(key="user-17", exclude=["http://10.0.0.1"])
    assert_type(selection, Selection)
    assert_type(selection.backend, Backend)
    assert_type(selection.started_at, float)
    selection.responded()
    selection.responded(outcome=Outcome.success())
    selection.release()
    selection.release(latency=0.1, error=OSError(), outcome=Outcome.failure("slow"))
    selection.cancel()
    with orders.select() as entered:
        assert_type(entered, Selection)


def outcomes(outcome: Outcome) -> None:
    assert_type(Outcome.success(), Outcome)
    assert_type(Outcome.failure("reason"), Outcome)
    assert_type(Outcome.throttled(until=12.5), Outcome)
    assert_type(Outcome.neutral(), Outcome)
    assert_type(outcome.health, Verdict)
    assert_type(outcome.fault, Fault | None)
    assert_type(outcome.repeat, Repeat)
    assert_type(outcome.reason, str)
    assert_type(outcome.until, float | None)


def call(backend: Backend) -> int:
    return len(backend.url)


async def call_async(backend: Backend) -> str:
    return backend.url


def executing(orders: LoadBalancer) -> None:
    assert_type(orders.execute(call), int)
    assert_type(orders.execute(call, key=7, idempotent=False), int)
    assert_type(orders.execute(lambda backend: backend.netloc), str)


async def executing_async(orders: LoadBalancer) -> None:
    assert_type(await orders.execute_async(call_async), str)
    assert_type(await orders.execute_async(call_async, key=7, idempotent=False), str)


def membership(orders: LoadBalancer, backend: Backend) -> None:
    assert_type(orders.backends, tuple[Backend, ...])
    orders.add_backend("http://10.0.0.3")
    orders.add_backend(backend)
    orders.update_backends([backend, "http://10.0.0.4"])
    orders.remove_backend(backend)
    orders.mark_healthy("http://10.0.0.3", True)
    orders.mark_healthy(backend, None)
    orders.drain(backend)
    orders.drain("http://10.0.0.3", draining=False)
    assert_type(orders.wait_drained(backend, timeout=1), bool)
    assert_type(orders.wait_ready(1.5), bool)
    orders.close()


async def waiting(orders: LoadBalancer, backend: Backend) -> None:
    assert_type(await orders.wait_drained_async(backend, timeout=None), bool)
    assert_type(await orders.wait_ready_async(), bool)


def stats(orders: LoadBalancer) -> None:
    picture = orders.stats()
    assert_type(picture, ServiceStats)
    assert_type(picture.unkeyed, int)
    assert_type(picture.name, str)
    assert_type(picture.backends, tuple[BackendStats, ...])
    for one in picture.backends:
        assert_type(one.backend, Backend)
        assert_type(one.in_flight, int)
        assert_type(one.waiting, int)
        assert_type(one.total, int)
        assert_type(one.failures, int)
        assert_type(one.latency, float | None)
        assert_type(one.healthy, bool)
        assert_type(one.state, str)
        assert_type(one.returns_in, float | None)
        assert_type(one.last_used, float | None)
        assert_type(one.share, float)
        assert_type(one.slow_start, float)


def subscribing(orders: LoadBalancer) -> None:
    def hear(event: events.Event) -> None:
        assert_type(event.service, str)
        match event:
            case events.BackendEjected(service, backend, reason, seconds):
                assert_type(service, str)
                assert_type(backend, Backend)
                assert_type(reason, str)
                assert_type(seconds, float)
            case events.AttemptHedged(delay=delay):
                assert_type(delay, float)
            case events.AttemptRetried(attempt=attempt, wait=wait):
                assert_type(attempt, int)
                assert_type(wait, float)
            case events.BackendMarked(healthy=healthy):
                assert_type(healthy, bool | None)
            case (
                events.BackendAdded()
                | events.BackendRemoved()
                | events.BackendReturned()
                | events.BackendThrottled()
                | events.BackendFailing()
                | events.BackendRecovered()
                | events.BackendDraining()
            ):
                assert_type(event.backend, Backend)
            case events.BackendOnTrial() | events.CertificatesRefused():
                assert_type(event.backend, Backend)
            case _:
                assert_type(
                    event,
                    events.PanicEntered
                    | events.PanicLeft
                    | events.RetryBudgetExhausted,
                )

    unsubscribe = orders.subscribe(hear)
    assert_type(unsubscribe, Callable[[], None])
    unsubscribe()
    orders.subscribe(print)


def per_request() -> None:
    with options(key="user-17", deadline=0.5, idempotent=True, retry=False) as nothing:
        assert_type(nothing, None)
    with options(retry=RetryPolicy()), options(retry=tenacity.Retrying()):
        pass
    with disabled():
        pass


def errors(error: lbtransport.LoadBalancingError) -> None:
    if isinstance(error, lbtransport.ConfigurationError):
        as_value_error: ValueError = error
        assert_type(as_value_error.args, tuple[Any, ...])


def literals() -> tuple[Literal[Fault.CONNECT], Literal[Repeat.ANY]]:
    return Fault.CONNECT, Repeat.ANY
