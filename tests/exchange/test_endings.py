"""However an exchange ends, it gives everything back."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import pytest
import tenacity

from lbtransport._effects import Send
from lbtransport.strategies.round_robin import RoundRobin
from tests.core_kit import A, Fate, Reply, in_flight, make_service
from tests.exchange.kit import INTERRUPTS, Client


@pytest.mark.parametrize("interrupt", INTERRUPTS, ids=lambda e: type(e).__name__)
@pytest.mark.parametrize("before", [0, 1, 2])
def test_interrupted_send_is_no_evidence_and_not_repeated(
    interrupt: BaseException, before: int
) -> None:
    client = Client(*[503] * before, interrupt)

    assert client.fail(type(interrupt)) is interrupt

    assert in_flight(client.service) == 0
    failures = sum(b.failures for b in client.service.stats().backends)
    assert failures == before


@pytest.mark.parametrize("interrupt", INTERRUPTS, ids=lambda e: type(e).__name__)
@pytest.mark.parametrize("effects", [2, 3])
def test_interrupted_wait_or_close_gives_everything_back(
    interrupt: BaseException, effects: int
) -> None:
    client = Client(service=make_service([A]))
    steps = client.steps()
    next(steps)
    for result in (Reply(503), None)[: effects - 1]:
        steps.send(result)

    with pytest.raises(type(interrupt)):
        steps.throw(interrupt)

    assert in_flight(client.service) == 0


@pytest.mark.parametrize("effects", [1, 2, 3, 4])
def test_closed_exchange_gives_everything_back(effects: int) -> None:
    client = Client(service=make_service([A]))
    steps = client.steps()
    next(steps)
    for result in (Reply(503), None, None)[: effects - 1]:
        steps.send(result)

    steps.close()
    del steps

    assert in_flight(client.service) == 0


def test_dropped_exchange_gives_everything_back() -> None:
    client = Client()
    steps = client.steps()
    next(steps)

    del steps
    gc.collect()

    assert in_flight(client.service) == 0


def test_exchange_that_was_never_begun_takes_nothing() -> None:
    client = Client()

    client.steps().close()

    assert all(b.total == 0 for b in client.service.stats().backends)


def test_discarded_answer_that_cannot_be_closed_does_not_fail_the_request() -> None:
    client = Client()
    steps = client.steps()
    next(steps)
    steps.send(Reply(503))

    effect = steps.throw(OSError("cannot be closed"))

    assert isinstance(effect, Send)
    steps.close()


class RefusedError(ConnectionRefusedError):
    """An error that can be referred to weakly."""


class BugError(ValueError):
    """An error that is not repeated."""


@pytest.mark.parametrize("kind", [RefusedError, BugError])
@pytest.mark.parametrize("is_own", [False, True], ids=["policy", "own"])
def test_failed_exchange_leaves_no_cycle_to_the_collector(
    kind: type[Exception], is_own: bool
) -> None:
    own = tenacity.Retrying(stop=tenacity.stop_after_attempt(3))
    client = Client(by_backend=lambda url: kind())

    def fail() -> weakref.ref[Exception]:
        try:
            client.ask(retry=own if is_own else None)
        except kind as caught:
            return weakref.ref(caught)
        raise AssertionError

    gc.collect()
    gc.disable()
    try:
        assert fail()() is None
    finally:
        gc.enable()


def test_backends_that_are_all_gone_leave_no_cycle_to_the_collector() -> None:
    client = Client(service=make_service([A]))

    def leave(url: str) -> Fate:
        client.service.remove_backend(url)
        return RefusedError()

    def fail() -> weakref.ref[Exception]:
        try:
            client.ask()
        except RefusedError as caught:
            return weakref.ref(caught)
        raise AssertionError

    client.script.fates = leave
    gc.collect()
    gc.disable()
    try:
        assert fail()() is None
    finally:
        gc.enable()


class Broken(RoundRobin):
    """A strategy that fails at the headers, with what looks like a backend's error."""

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self._error = error

    def responded(self, *args: Any, **rest: Any) -> None:
        raise self._error


@pytest.mark.parametrize("error", [RefusedError("statsd"), KeyboardInterrupt()])
def test_what_goes_wrong_after_the_answer_is_never_repeated(
    error: BaseException,
) -> None:
    client = Client(service=make_service(strategy=Broken(error)))

    assert client.fail(type(error), "POST") is error

    assert client.statuses == [200]
    assert client.closed == [1]
    assert in_flight(client.service) == 0
    assert sum(b.failures for b in client.service.stats().backends) == 0


def test_result_that_is_none_is_an_answer_too() -> None:
    service, called = make_service(strategy=Broken(RefusedError("statsd"))), list[str]()

    with pytest.raises(RefusedError):
        service.execute(lambda backend: called.append(backend.url))

    assert len(called) == 1
