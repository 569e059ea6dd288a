"""What is known of a backend survives every update of the list."""

from __future__ import annotations

import logging

import pytest

from lbtransport import Backend, LoadBalancer
from lbtransport._backends import BackendState, BackendTable, unique
from tests.core_kit import A, B, C, D, eject, make_service, states_of, stats_of


def urls(table: BackendTable) -> list[str]:
    return [state.backend.url for state in table]


def make_table(*backends: str) -> BackendTable:
    table = BackendTable()
    table.update(map(Backend, backends))
    return table


def test_table_keeps_the_order_of_arrival() -> None:
    table = make_table(B, A)

    table.update([Backend(C), Backend(A), Backend(B)])

    assert urls(table) == [B, A, C]
    assert len(table) == 3


def test_update_tells_who_came_and_who_went() -> None:
    table = make_table(A, B)

    difference = table.update([Backend(B), Backend(C)])

    assert [state.backend.url for state in difference.added] == [C]
    assert [state.backend.url for state in difference.removed] == [A]
    assert difference.removed[0].is_removed


def test_survivor_keeps_its_state_and_takes_the_new_attributes() -> None:
    table = make_table(A)
    before = table.find(A)

    table.update([Backend(A, weight=5)])

    assert table.find(A) is before
    assert before.backend.weight == 5


def test_removed_and_added_again_is_a_new_state() -> None:
    table = make_table(A)
    before = table.find(A)

    table.remove(A)
    table.add(Backend(A))

    assert table.find(A) is not before


@pytest.mark.parametrize(
    "spelling", [A, f"{A}:80/", "HTTP://10.0.0.1", "http://user:pass@10.0.0.1"]
)
def test_any_spelling_finds_the_backend(spelling: str) -> None:
    table = make_table(A)

    assert table.find(spelling).backend.url == A


def test_backend_finds_itself() -> None:
    assert make_table(A).find(Backend(A)).backend.url == A


def test_unknown_url_names_those_that_are_known() -> None:
    with pytest.raises(KeyError) as missing:
        make_table(A, B).find(C)

    assert f"{C!r} is no backend here; the backends are: {A}, {B}" in str(missing.value)


def test_unknown_url_of_an_empty_table() -> None:
    with pytest.raises(KeyError, match="the backends are: none"):
        BackendTable().find(A)


def test_url_that_is_none_is_unknown_too() -> None:
    with pytest.raises(KeyError, match="does not begin with http://"):
        make_table(A).find("10.0.0.1")


def test_unknown_url_hides_its_credentials() -> None:
    with pytest.raises(KeyError) as missing:
        make_table(A).find("http://user:hush@10.0.0.9")

    assert "hush" not in str(missing.value)


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    assert {record.levelno for record in caplog.records} <= {logging.WARNING}
    return [record.getMessage() for record in caplog.records]


def test_same_url_twice_the_last_wins_with_one_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    twice = [Backend(A, weight=1), Backend(B), Backend(f"{A}:80/", weight=2)]

    found = unique([*twice, Backend(A, weight=3), Backend(B, weight=4)])

    assert [(b.url, b.weight) for b in found] == [(A, 3), (B, 4)]
    assert warnings_of(caplog) == [
        f"backend listed more than once, its last attributes count backends={A}, {B}"
    ]


def test_service_of_one_url_twice_warns_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING)

    service = LoadBalancer(
        "orders", [Backend(A, weight=1), "http://user:hush@10.0.0.1:80/"]
    )

    assert service.backends == (Backend(A),)
    assert service.backends[0].headers is not None
    assert "Authorization" in service.backends[0].headers
    assert len(warnings_of(caplog)) == 1
    assert "hush" not in caplog.text


def test_list_without_repetitions_warns_of_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    unique([Backend(A), Backend(B)])

    assert caplog.records == []


# In a service


def test_counters_and_circuit_survive_an_update() -> None:
    service = make_service([A, B])
    eject(service, A)
    before = stats_of(service, A)

    service.update_backends([C, Backend(A, weight=7, zone="b")])

    after = stats_of(service, A)
    assert (after.total, after.failures, after.state) == (5, 5, "ejected")
    assert after.returns_in == before.returns_in
    assert (after.backend.weight, after.backend.zone) == (7, "b")


def test_drain_and_mark_survive_an_update() -> None:
    service = make_service([A, B, C])
    service.drain(A)
    service.mark_healthy(B, False)

    service.update_backends([B, A, D])

    assert states_of(service) == {A: "draining", B: "marked_unhealthy", D: "closed"}


def test_removal_in_flight_ends_in_peace() -> None:
    service = make_service([A, B])
    service.drain(B)
    selection = service.select()

    service.remove_backend(A)
    selection.release(error=ConnectionResetError())

    assert service.backends == (Backend(B),)


def test_backend_added_again_starts_afresh() -> None:
    service = make_service([A, B])
    eject(service, A)
    old = service.select()

    service.remove_backend(A)
    service.add_backend(A)
    old.release()

    assert stats_of(service, A).state == "closed"
    assert stats_of(service, A).total == 0


def test_late_release_does_not_touch_the_backends_successor() -> None:
    service = make_service([A])
    old = service.select()
    service.remove_backend(A)
    service.add_backend(A)

    old.release(error=ConnectionRefusedError())

    assert stats_of(service, A).in_flight == 0
    assert stats_of(service, A).failures == 0


def test_idle_copy_keeps_everything_but_what_is_in_flight() -> None:
    state = BackendState(Backend(A))
    state.in_flight, state.waiting, state.total = 3, 2, 9
    state.circuit.trial = 1
    state.strategy_state = ["what", "is", "known"]

    copy = state.idle_copy()

    assert (copy.in_flight, copy.waiting, copy.total) == (0, 0, 9)
    assert copy.circuit.trial == 0
    assert copy.strategy_state == ["what", "is", "known"]
    assert copy.strategy_state is not state.strategy_state
    assert (state.in_flight, state.waiting) == (3, 2)


def test_idle_copy_shares_what_a_strategy_keeps_and_nobody_can_copy() -> None:
    state = BackendState(Backend(A))
    state.strategy_state = (turn for turn in [1, 2, 3])

    assert state.idle_copy().strategy_state is state.strategy_state
