"""The operator's will: marks and drains."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from lbtransport import LoadBalancer
from tests.balancer.kit import chosen
from tests.core_kit import (
    A,
    B,
    D,
    eject,
    make_service,
    select_only,
    states_of,
    stats_of,
)


def test_mark_overrules_the_evidence_until_it_is_taken_back() -> None:
    service = make_service([A, B])
    eject(service, A)

    service.mark_healthy(A, True)
    assert states_of(service)[A] == "marked_healthy"
    assert stats_of(service, A).healthy
    assert stats_of(service, A).returns_in is None
    assert A in {service.select().backend.url for _ in range(20)}
    service.mark_healthy(A, None)
    assert states_of(service)[A] == "ejected"


def test_marked_unhealthy_gets_nothing_until_it_is_taken_back() -> None:
    service = make_service([A, B])

    service.mark_healthy(A, False)
    assert chosen(service) == {B}
    assert not stats_of(service, A).healthy
    service.mark_healthy(A, None)
    assert chosen(service) == {A, B}


def test_drained_backend_gets_nothing_and_keeps_what_it_has() -> None:
    service = make_service([A, B])
    selection = select_only(service, A)

    service.drain(A)
    assert chosen(service) == {B}
    assert states_of(service)[A] == "draining"
    assert stats_of(service, A).in_flight == 1
    selection.release()
    assert stats_of(service, A).in_flight == 0
    service.drain(A, False)
    assert chosen(service) == {A, B}


@pytest.mark.parametrize(
    "act",
    [
        lambda service: service.remove_backend(D),
        lambda service: service.mark_healthy(D, True),
        lambda service: service.drain(D),
        lambda service: service.wait_drained(D, 0),
    ],
    ids=["remove", "mark", "drain", "wait"],
)
def test_unknown_backend_is_a_key_error(act: Callable[[LoadBalancer], Any]) -> None:
    service = make_service([A])

    with pytest.raises(KeyError, match="is no backend here"):
        act(service)
