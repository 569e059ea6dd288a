"""What a service is made of, and what it refuses."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from lbtransport import (
    Backend,
    ConfigurationError,
    HealthPolicy,
    LoadBalancer,
    NoBackendsAvailable,
)
from lbtransport._clock import SystemClock
from tests.core_kit import A, B, eject, make_service, stats_of

SECRET = "hush-hush"


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
    "max_queued": 0,
    "queue_timeout": 0,
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
