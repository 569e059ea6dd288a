"""A backend that was taken is given back exactly once, however the attempt ends."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbtransport import Outcome, Selection
from tests.core_kit import CUT, STATUS_500, A, B, answer, make_service, stats_of
from tests.selection.kit import counts

ACTIONS: dict[str, Callable[[Selection], object]] = {
    "responded": Selection.responded,
    "responded with a success": lambda s: s.responded(outcome=Outcome.success()),
    "responded with a failure": lambda s: s.responded(outcome=STATUS_500),
    "release": Selection.release,
    "release with an error": lambda s: s.release(error=ConnectionResetError()),
    "release with an outcome": lambda s: s.release(outcome=Outcome.neutral()),
    "cancel": Selection.cancel,
    "with block": lambda s: s.__exit__(None, None, None),
}
any_actions = st.lists(st.sampled_from(sorted(ACTIONS)), max_size=5)


def test_selection_says_which_backend_since_when() -> None:
    service = make_service([A])

    selection = service.select()

    assert selection.backend is service.backends[0]
    assert selection.started_at == 1000.0
    assert repr(selection) == f"<Selection backend={A!r} waiting>"
    selection.cancel()


def test_selection_is_waiting_until_the_headers_and_in_flight_until_the_end() -> None:
    service = make_service([A])

    selection = service.select()
    assert counts(service) == (1, 1)
    selection.responded()
    assert counts(service) == (1, 0)
    assert repr(selection).endswith("responded>")
    selection.release()
    assert counts(service) == (0, 0)
    assert repr(selection).endswith("released>")


@pytest.mark.parametrize("one", ACTIONS)
@pytest.mark.parametrize("other", ACTIONS)
def test_released_once_in_any_order(one: str, other: str) -> None:
    service = make_service([A])
    selection = service.select()

    ACTIONS[one](selection)
    ACTIONS[other](selection)
    selection.release()

    assert counts(service) == (0, 0)
    assert stats_of(service, A).failures <= 1


@given(actions=any_actions)
def test_dropped_after_anything_is_released_once(actions: list[str]) -> None:
    service = make_service([A])
    kept, dropped = service.select(), service.select()

    for action in actions:
        ACTIONS[action](dropped)
    del dropped

    assert counts(service) == (1, 1)
    kept.release()


def test_select_alone_settles_what_was_dropped() -> None:
    service = make_service([A], max_in_flight=1)

    service.select()  # dropped at once
    selection = service.select()

    assert counts(service) == (1, 1)
    selection.release()


def test_release_settles_what_was_dropped() -> None:
    service = make_service([A])
    selection = service.select()
    service.select()  # dropped at once

    selection.release()

    assert service.core._roster.table.find(A).in_flight == 0


def test_selection_that_was_dropped_and_settled_already_counts_once() -> None:
    service = make_service([A])
    kept, selection = service.select(), service.select()
    selection.release()

    # As after an interrupt between settling it and forgetting it.
    selection.abandon()

    assert counts(service) == (1, 1)
    kept.release()


def test_dropped_selection_is_no_evidence() -> None:
    service = make_service([A, B])

    for _ in range(20):
        service.select()

    assert all(backend.state == "closed" for backend in service.stats().backends)
    assert all(backend.failures == 0 for backend in service.stats().backends)


def test_dropped_after_its_headers_is_a_success() -> None:
    service = make_service([A, B])
    answer(service, A, *[CUT] * 4)
    selection = service.select(exclude=[B])
    selection.responded(outcome=Outcome.success())

    del selection
    service.stats()
    answer(service, A, CUT)

    assert stats_of(service, A).state == "closed"
