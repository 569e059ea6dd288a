"""Backends that come, go and change."""

from __future__ import annotations

from lbtransport import Backend
from tests.balancer.kit import chosen
from tests.core_kit import A, B, C, make_service


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


def test_new_attributes_count_at_once() -> None:
    service = make_service([A, B])
    chosen(service)

    service.update_backends([Backend(A, priority=1), B])
    assert chosen(service) == {B}
    service.add_backend(Backend(A, priority=0))
    assert chosen(service) == {A, B}
