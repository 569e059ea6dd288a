"""The public face: what it takes, what it refuses, and that nothing gets lost in it."""

from __future__ import annotations

import gc
import os
import pickle
import random
import sys
import threading
import warnings
from collections.abc import Callable
from typing import Any

import anyio
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
    Outcome,
    RetryPolicy,
    events,
    options,
)
from lbtransport._clock import ManualClock, SystemClock
from lbtransport.load_balancer import _reset_after_fork as reset_after_fork
from lbtransport.strategies.round_robin import RoundRobin
from tests.helpers_core import (
    URLS,
    A,
    B,
    C,
    advance,
    eject,
    in_flight,
    make_service,
    stats_of,
)

SECRET = "hush-hush"


def refuse(backend: Backend) -> Any:
    raise ConnectionRefusedError(backend.url)


# What it is made of


def test_urls_and_backends_make_a_service() -> None:
    service = LoadBalancer("orders", [A, Backend(B, weight=3)])

    assert service.name == "orders"
    assert [(b.url, b.weight) for b in service.backends] == [(A, 1), (B, 3)]
    assert repr(service) == "<LoadBalancer 'orders' backends=2>"


def test_service_may_begin_without_backends() -> None:
    assert LoadBalancer("orders").backends == ()


def test_service_runs_on_the_machines_clock_and_chance() -> None:
    service = LoadBalancer("orders", [A])

    with service.select() as selection:
        assert selection.started_at > 0

    assert isinstance(service.core.clock, SystemClock)
    assert stats_of(service, A).latency is not None


def test_service_is_a_context_manager_and_works_on_after_its_end() -> None:
    with LoadBalancer("orders", [A]) as service:
        pass
    service.close()

    assert service.select().backend.url == A


def test_backends_may_come_from_an_iterator() -> None:
    assert len(LoadBalancer("orders", iter([A, B])).backends) == 2


BAD: dict[str, Any] = {
    "name": 7,
    "discovery": "dns://orders",
    "checks": object(),
    "strategy": "round_robbin",
    "retry": 3,
    "health": {"max_ejected": 0.5},
    "deadline": 0,
    "max_in_flight": 0,
    "zone": 7,
    "host": "a b",
    "tls_name": "",
    "subset": 0.5,
}


@pytest.mark.parametrize("argument", BAD)
def test_bad_argument_is_refused_at_construction(argument: str) -> None:
    arguments = {"name": "orders", "backends": [A], argument: BAD[argument]}

    with pytest.raises(ConfigurationError) as refusal:
        LoadBalancer(**arguments)

    assert argument in str(refusal.value)


@pytest.mark.parametrize(
    "backends", [A, Backend(A), f"http://user:{SECRET}@10.0.0.1", [A, 7], 7]
)
def test_what_is_no_list_of_backends_is_refused(backends: Any) -> None:
    with pytest.raises(ConfigurationError) as refusal:
        LoadBalancer("orders", backends)

    assert SECRET not in str(refusal.value)


@pytest.mark.parametrize("way", ["update", "add", "exclude"])
def test_bad_backend_is_refused_later_too(way: str) -> None:
    service = make_service([A])

    with pytest.raises(ConfigurationError):
        if way == "update":
            service.update_backends("http://10.0.0.1")
        elif way == "add":
            service.add_backend("10.0.0.1")
        else:
            service.select(exclude="http://10.0.0.1")

    assert [b.url for b in service.backends] == [A]


def test_update_that_is_refused_changes_nothing() -> None:
    service = make_service([A])

    with pytest.raises(ConfigurationError):
        service.update_backends([B, "nonsense"])

    assert [b.url for b in service.backends] == [A]


def test_credentials_are_shown_nowhere(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    heard: list[Any] = []
    secretive = Backend(f"http://user:{SECRET}@10.0.0.1", headers={"X-Key": SECRET})
    service = make_service([], health=HealthPolicy(fail_open=False))
    service.subscribe(heard.append)
    service.update_backends([secretive, secretive, B])
    eject(service, A)
    service.drain(B)

    with pytest.raises(NoBackendsAvailable) as refusal:
        service.select()
    with pytest.raises(KeyError) as missing:
        service.remove_backend(f"http://user:{SECRET}@10.0.0.9")

    shown = [repr(service), repr(service.stats()), repr(service.backends), repr(heard)]
    shown += [caplog.text, str(refusal.value), str(missing.value)]
    shown += [repr(pickle.dumps(service.stats())), repr(pickle.dumps(heard))]
    assert not [text for text in shown if SECRET in text or "aHVzaC1odXNo" in text]


# Execute


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


def test_subscription_ends() -> None:
    service, heard = make_service([]), list[events.Event]()
    unsubscribe = service.subscribe(heard.append)
    service.add_backend(A)

    unsubscribe()
    service.add_backend(B)

    assert heard == [events.BackendAdded("orders", Backend(A))]


# Forks


def in_children(number: int, work: Callable[[], Any]) -> list[Any]:
    """Run `work` in the child of a fork, `number` times; return what it returned."""
    results = []
    for _ in range(number):
        reader, writer = os.pipe()
        with warnings.catch_warnings():
            # Other tests' threads are none of the child's business.
            warnings.simplefilter("ignore", DeprecationWarning)
            child = os.fork()
        if child == 0:  # pragma: no cover - coverage does not reach into it
            try:
                os.write(writer, pickle.dumps(work()))
            finally:
                os._exit(0)
        os.close(writer)
        with os.fdopen(reader, "rb") as pipe:
            results.append(pickle.loads(pipe.read()))
        os.waitpid(child, 0)
    return results


forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")


@forks
def test_child_of_a_fork_has_nothing_in_flight() -> None:
    service = make_service([A, B])
    held = [service.select() for _ in range(3)]

    def work() -> list[int]:
        before = in_flight(service)
        for selection in held:
            selection.release()
        return [
            before,
            in_flight(service),
            sum(b.total for b in service.stats().backends),
        ]

    assert in_children(1, work) == [[0, 0, 3]]
    assert in_flight(service) == 3


@forks
def test_child_of_a_fork_is_not_locked_by_a_thread_of_the_parent() -> None:
    service = make_service([A])
    service.core.announcer.watch()

    with service.core._lock, service.core.announcer._lock:
        children = in_children(1, lambda: service.execute(lambda backend: backend.url))

    assert children == [A]


@forks
def test_child_of_a_fork_keeps_the_evidence() -> None:
    service = make_service([A, B])
    eject(service, A)

    (state,) = in_children(1, lambda: stats_of(service, A).state)

    assert state == "ejected"


@forks
def test_child_of_a_fork_may_repeat_a_trial_of_the_parent() -> None:
    service = make_service([A, B])
    eject(service, A)
    advance(service, 2.0)
    trial = service.select(exclude=[B])

    (url,) = in_children(1, lambda: service.select(exclude=[B]).backend.url)

    assert url == A
    trial.release()


@forks
def test_children_of_a_fork_draw_different_numbers() -> None:
    service = LoadBalancer("orders", URLS, strategy="random", rng=random.Random(7))

    def work() -> list[str]:
        return [service.select().backend.url for _ in range(30)]

    one, other = in_children(2, work)

    assert one != other


@forks
def test_children_of_a_fork_take_turns_in_different_orders() -> None:
    service = LoadBalancer("orders", URLS, strategy="round_robin")

    def work() -> str:
        return service.select().backend.url

    assert len(set(in_children(12, work))) > 1


@forks
def test_children_of_a_fork_keep_to_different_subsets() -> None:
    fleet = [f"http://10.0.1.{number}" for number in range(50)]
    service = LoadBalancer("orders", fleet, strategy="round_robin", subset=5)

    def work() -> set[str]:
        return {service.select().backend.url for _ in range(5)}

    one, other = in_children(2, work)

    assert one != other


@forks
def test_child_of_a_fork_forgets_the_parents_waiting_threads() -> None:
    service = make_service([A])
    service.core.announcer.watch()

    (watchers,) = in_children(1, lambda: len(service.core.announcer.watchers))

    assert watchers == 0


@forks
def test_subscribers_stay_in_the_child_of_a_fork() -> None:
    service, heard = make_service([]), list[Any]()
    service.subscribe(heard.append)

    def work() -> int:
        service.add_backend(A)
        return len(heard)

    assert in_children(1, work) == [1]


# Everybody at once


def hammer(service: LoadBalancer, rng: random.Random, rounds: int) -> None:
    """Use a service in all ways; every request ends in some way."""
    ends: list[Callable[[Any], Any]] = [
        lambda s: s.release(),
        lambda s: s.release(error=ConnectionRefusedError()),
        lambda s: s.release(outcome=Outcome.throttled(s.started_at + 0.001)),
        lambda s: (s.responded(), s.release()),
        lambda s: s.cancel(),
        lambda s: None,  # dropped
        lambda s: [s].append(s),  # dropped
    ]
    for _ in range(rounds):
        try:
            rng.choice(ends)(service.select())
        except NoBackendsAvailable:
            continue


def churn(service: LoadBalancer, rng: random.Random, rounds: int) -> None:
    """Change the list, and what the operator wants, again and again."""
    for _ in range(rounds):
        service.update_backends(rng.sample(URLS, rng.randint(1, len(URLS))))
        url = rng.choice(service.backends)
        for act in (service.drain, lambda url: service.mark_healthy(url, None)):
            try:
                act(url)
            except KeyError:
                continue
        service.stats()
        gc.collect(0)


def test_service_survives_threads_and_tasks_of_both_kinds_at_once() -> None:
    service = LoadBalancer("orders", URLS, rng=random.Random(7))
    failures: list[BaseException] = []

    async def ask(backend: Backend) -> None:
        await checkpoint()
        if backend.url == A:
            raise ConnectionRefusedError

    async def call(rounds: int) -> None:
        for _ in range(rounds):
            try:
                await service.execute_async(ask)
            except (NoBackendsAvailable, ConnectionRefusedError):
                continue

    async def tasks() -> None:
        async with anyio.create_task_group() as group:
            for _ in range(100):
                group.start_soon(call, 5)

    def guarded(work: Callable[..., Any], *arguments: Any, **keywords: Any) -> None:
        try:
            work(*arguments, **keywords)
        except BaseException as error:  # noqa: BLE001 - shown to the test's thread
            failures.append(error)

    works: list[tuple[Any, ...]] = [
        *[(hammer, service, random.Random(n), 150) for n in range(16)],
        *[(churn, service, random.Random(n), 50) for n in range(2)],
    ]
    threads = [threading.Thread(target=guarded, args=work) for work in works]
    threads += [
        threading.Thread(
            target=guarded, args=(anyio.run, tasks), kwargs={"backend": backend}
        )
        for backend in ("asyncio", "trio")
    ]
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    finally:
        sys.setswitchinterval(before)

    assert not any(thread.is_alive() for thread in threads)
    assert failures == []
    gc.collect()
    service.update_backends(URLS)
    assert in_flight(service) == 0


def test_manual_clock_never_goes_back() -> None:
    clock = ManualClock(5.0)

    clock.advance(1.5)

    assert clock.monotonic() == clock.wall() == 6.5
    with pytest.raises(ValueError, match="a clock never goes back"):
        clock.advance(-1)


def test_clock_of_the_machine_tells_both_times() -> None:
    clock = SystemClock()

    assert clock.monotonic() <= clock.monotonic()
    assert clock.wall() > 1_700_000_000


def test_reset_after_a_fork_forgets_what_is_in_flight_but_not_the_evidence() -> None:
    service = make_service([A, B, C])
    eject(service, A)
    service.core.announcer.watch()
    held = service.select()
    service.core.announcer.noted.append(events.PanicLeft("orders"))

    service.core.reset_after_fork()

    assert in_flight(service) == 0
    assert stats_of(service, A).state == "ejected"
    assert not service.core.announcer.watchers
    assert not service.core.announcer.noted
    held.release()
    assert in_flight(service) == 0


def test_reset_after_a_fork_reaches_every_service() -> None:
    services = [make_service([A]), make_service([A])]
    held = [service.select() for service in services]

    reset_after_fork()

    assert [in_flight(service) for service in services] == [0, 0]
    assert len(held) == 2
