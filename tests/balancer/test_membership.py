"""Backends that come, go and change."""

from __future__ import annotations

import random
from collections.abc import MutableSequence, Sequence
from typing import Any

import pytest

from lbtransport import Backend, ConfigurationError, LoadBalancer
from lbtransport.events import BackendAdded, Event
from lbtransport.strategies import Member
from lbtransport.strategies.round_robin import RoundRobin
from tests.balancer.kit import chosen
from tests.core_kit import A, B, C, interrupted_at, make_service


def test_added_backend_is_used_and_removed_one_is_not() -> None:
    service = make_service([A])

    service.add_backend(B)
    assert chosen(service) == {A, B}
    service.remove_backend(f"{A}/")
    assert chosen(service) == {B}


def test_update_makes_the_list_what_it_says() -> None:
    service = make_service([A, B])

    service.update_backends(iter([Backend(C), Backend(B)]))

    assert [b.url for b in service.backends] == [B, C]
    assert chosen(service) == {B, C}


@pytest.mark.parametrize("wanted", [[A, B, C], [B], [B, C]])
def test_update_that_was_interrupted_is_made_good_by_the_next(
    wanted: list[str],
) -> None:
    step, was_interrupted = 0, True
    while was_interrupted:
        service = make_service([A, B])
        was_interrupted = True
        with interrupted_at(step):
            service.update_backends(wanted)
            was_interrupted = False
        step += 1

        service.update_backends(wanted)

        assert {state.backend.url for state in service.core.findings.members} == {
            *wanted
        }, step
    assert step > 50


def test_new_attributes_count_at_once() -> None:
    service = make_service([A, B])
    chosen(service)

    service.update_backends([Backend(A, priority=1), B])
    assert chosen(service) == {B}
    service.add_backend(Backend(A, priority=0))
    assert chosen(service) == {A, B}


class Refusing(RoundRobin):
    """Cannot build what it needs for more than one backend, as a table too small."""

    def members_changed(self, members: Sequence[Member]) -> None:
        if len(members) > 1:
            raise ConfigurationError("too many backends")


def test_change_is_announced_also_when_the_strategy_cannot_follow() -> None:
    service = make_service([A], strategy=Refusing())
    heard: list[Event] = []
    service.subscribe(heard.append)

    with pytest.raises(ConfigurationError, match="too many backends"):
        service.add_backend(B)

    assert heard == [BackendAdded("orders", Backend(B))]
    assert chosen(service) == {A, B}


class Meddling(random.Random):
    """Selects while the members are shuffled."""

    service: LoadBalancer | None = None

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.seen: list[str] = []

    def shuffle(self, members: MutableSequence[Any]) -> None:
        if self.service is not None:
            # Under the lock this would wait for ever.
            with self.service.select() as selection:
                self.seen.append(selection.backend.url)
        super().shuffle(members)


def test_selecting_goes_on_while_the_list_changes() -> None:
    rng = Meddling(7)
    service = LoadBalancer("orders", [A], rng=rng)
    rng.service = service

    service.update_backends([B])

    assert rng.seen == [A]
    assert chosen(service) == {B}
