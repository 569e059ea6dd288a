"""What simulated servers do, seen by callers: arithmetic, since nothing is random.

One request arrives each eighth of a second, from 0.125 s to 4 s, and needs a sixteenth:
floats hold these exactly.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from lbtransport import RetryPolicy
from lbtransport.testing import (
    Absent,
    Deterministic,
    Fail,
    Hang,
    Kill,
    Result,
    Scenario,
    Server,
    Slow,
    WarmUp,
    simulate,
)
from lbtransport.testing._simulation import NEVER_EJECT
from lbtransport.testing.faults import Fault

CALM = Scenario(
    servers=[Server(slots=1)],
    rate=8.0,
    service=Deterministic(0.0625),
    arrivals="constant",
    seconds=4.0625,
    warmup=0.0,
    timeout=None,
)


PLAIN = dataclasses.replace(NEVER_EJECT, slow_start=0)


def run(
    *faults: Fault, strategy: str = "round_robin", servers: int = 1, **changes: Any
) -> Result:
    scenario = dataclasses.replace(
        CALM, servers=[Server(slots=1)] * servers, faults=faults, **changes
    )
    return simulate(scenario, strategy, health=PLAIN)


def test_without_faults_each_request_takes_its_service_time() -> None:
    result = run()

    assert result.latencies == (0.0625,) * 32
    assert not result.errors


def test_requests_wait_for_a_slot_in_the_order_of_their_arrival() -> None:
    # The request of 1.0 takes 0.9375 s; those after it wait.
    result = run(Slow(0, 0.95, 1.05, slowness=15.0))

    assert result.latencies[-3:] == (0.8125, 0.875, 0.9375)


def test_server_that_is_slow_twice_is_slow_by_the_product() -> None:
    result = run(Slow(0, slowness=1.5), Slow(0, slowness=1.2))

    assert result.latencies == pytest.approx([0.1125] * 32)


def test_warming_server_gets_faster_and_faster() -> None:
    result = run(WarmUp(0, 0.0, 4.0, slowness=1.8))

    expected = sorted(0.0625 * (1.8 - 0.8 * tick / 32) for tick in range(1, 33))
    assert result.latencies == pytest.approx(expected)


def test_failing_server_answers_503_at_once() -> None:
    result = run(Fail(0, 0.95, 1.95, after=0.002))

    assert result.reasons == {"status 503": 8}
    assert len(result.latencies) == 24


def test_server_that_fails_in_part_serves_the_rest() -> None:
    result = run(Fail(0, share=0.5), seconds=100.0625)

    assert 300 < result.reasons["status 503"] < 500
    assert result.latencies == (0.0625,) * len(result.latencies)


def test_killed_server_loses_what_it_holds_and_refuses_until_it_is_back() -> None:
    # The request of 1.0 is slow: it is being served, and the next two wait.
    result = run(Slow(0, 0.95, 1.05, slowness=100.0), Kill(0, 1.3, 2.05))

    assert result.reasons == {"disconnected": 3, "connect": 6}
    assert result.latencies == (0.0625,) * 23


def test_killed_server_tells_those_who_still_wait() -> None:
    result = run(Slow(0, 0.95, 1.05, slowness=100.0), Kill(0, 2.05, 3.05), timeout=0.25)

    # Those of 1.875 and 2.0 wait; the seven before them have given up.
    assert result.reasons == {"response timeout": 7, "disconnected": 2, "connect": 8}


def test_hanging_server_goes_on_where_it_stopped() -> None:
    # Half of the request of 1.0 is done; it holds up those after it.
    result = run(Hang(0, 1.03125, 1.53125))

    assert not result.errors
    assert result.latencies[-3:] == (0.4375, 0.5, 0.5625)


def test_server_that_hangs_for_ever_never_answers() -> None:
    result = run(Hang(0, 1.03125))

    assert result.reasons == {"never answered": 25}
    assert len(result.latencies) == 7


def test_server_that_is_absent_gets_nothing_and_joins_or_leaves() -> None:
    result = run(Absent(1, 0.0, 1.05), Absent(0, 2.95), servers=2)

    assert result.shares_between(0.0, 1.0) == (1.0, 0.0)
    assert result.shares_between(2.0, 3.0) == (0.5, 0.5)
    assert result.shares_between(3.0, 4.0) == (0.0, 1.0)
    assert not result.errors


def test_caller_abandons_what_takes_longer_than_its_timeout() -> None:
    result = run(Slow(0, 0.95, 1.05, slowness=10.0), timeout=0.3)

    # Those of 1.0 to 1.625: it takes until 1.9375 to work off what was abandoned.
    assert result.reasons == {"response timeout": 6}


@pytest.mark.parametrize(("works_off", "errors"), [(True, 25), (False, 1)])
def test_server_works_off_what_was_abandoned_unless_it_notices(
    works_off: bool, errors: int
) -> None:
    result = run(
        Slow(0, 0.95, 1.05, slowness=100.0),
        timeout=0.52,
        works_off_abandoned=works_off,
    )

    assert result.reasons == {"response timeout": errors}


def test_server_that_notices_forgets_what_was_abandoned_in_its_queue() -> None:
    result = run(Hang(0, 1.03125, 3.03125), timeout=0.25, works_off_abandoned=False)

    # Those of 1.0 to 2.75 were given up, and that of 2.875 begins at once.
    assert result.reasons == {"response timeout": 15}
    assert result.latencies[-1] == 3.03125 + 0.0625 - 2.875


def test_refusal_that_takes_longer_than_the_timeout_is_a_timeout() -> None:
    faults = Kill(0, 0.95, 1.95, after=0.4), Fail(0, 1.95, 2.95, after=0.4)

    result = run(*faults, timeout=0.3, works_off_abandoned=False)

    assert result.reasons == {"response timeout": 16}


class TestCentralQueue:
    def test_takes_the_fastest_idle_server(self) -> None:
        result = run(Slow(0), strategy="central_queue", servers=2)

        assert result.shares == (0.0, 1.0)

    def test_lets_requests_wait_for_whoever_is_idle_first(self) -> None:
        result = run(strategy="central_queue", servers=2, service=Deterministic(0.1875))

        assert result.shares == (0.5, 0.5)
        assert result.latencies == (0.1875,) * 32

    def test_leaves_servers_alone_that_are_not_well(self) -> None:
        faults = (
            Kill(0, 0.95, 1.45),
            Hang(0, 1.45, 1.95),
            Fail(0, 1.95, 2.45),
            Absent(0, 2.45, 2.95),
        )

        result = run(*faults, strategy="central_queue", servers=2)

        assert result.shares_between(1.0, 2.0) == (0.0, 1.0)
        assert not result.errors

    def test_keeps_what_waits_when_a_server_is_killed(self) -> None:
        result = run(
            Slow(0, 0.95, 1.05, slowness=100.0),
            Kill(0, 1.3, 1.95),
            strategy="central_queue",
        )

        assert result.reasons == {"disconnected": 1}

    def test_forgets_what_was_abandoned_if_servers_notice(self) -> None:
        result = run(
            Slow(0, 0.95, 1.05, slowness=100.0),
            Hang(0, 1.35, 3.05),
            strategy="central_queue",
            timeout=0.25,
            works_off_abandoned=False,
        )

        # Those of 1.0, 1.25, and 1.375 to 2.75.
        assert result.reasons == {"response timeout": 14}


class TestOracle:
    def test_takes_the_server_that_is_done_first(self) -> None:
        result = run(Slow(0), strategy="sed_oracle", servers=2)

        assert result.shares == (0.0, 1.0)

    def test_fills_the_queues_of_an_overloaded_fleet_by_speed(self) -> None:
        result = run(
            Slow(0), strategy="sed_oracle", servers=2, service=Deterministic(0.5)
        )

        # Three times as slow, so with a third of the queue.
        assert result.shares[0] == pytest.approx(0.25, abs=0.04)

    def test_avoids_servers_that_are_not_well_if_it_can(self) -> None:
        faults = Fail(0, 0.0, 1.0), Kill(0, 1.0, 2.0), Hang(0, 2.0, 4.0)

        result = run(*faults, strategy="sed_oracle", servers=2)

        assert result.shares_between(0.0, 4.0)[0] < 0.03
        assert not result.errors

    def test_takes_one_that_is_not_well_if_there_is_no_other(self) -> None:
        assert run(Fail(0), strategy="sed_oracle").reasons == {"status 503": 32}


def test_retries_go_to_another_server() -> None:
    scenario = dataclasses.replace(
        CALM, servers=[Server(slots=1)] * 2, faults=[Fail(0), Kill(1, 2.0, 3.0)]
    )

    once = simulate(scenario, "round_robin", health=False)
    again = simulate(
        scenario, "round_robin", health=False, retry=RetryPolicy(attempts=2)
    )

    assert once.reasons.keys() == {"status 503", "connect"}
    assert again.errors < once.errors / 2
    assert again.attempts > again.requests
