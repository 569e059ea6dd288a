"""What `adaptive` believes of each backend, and whom it sends requests to."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbtransport import (
    Backend,
    ConfigurationError,
    HealthPolicy,
    LoadBalancer,
    Outcome,
)
from lbtransport._types.outcome import CANCELLED
from lbtransport.strategies import make_strategy
from lbtransport.strategies._record import Record
from lbtransport.strategies.adaptive import Adaptive
from tests.core_kit import (
    REFUSED,
    STATUS_500,
    TIMEOUT,
    A,
    B,
    C,
    advance,
    make_service,
)
from tests.strategies.kit import idle_shares

MEMORY, PRIOR = 10.0, 2.0
NEVER_EJECT = HealthPolicy(consecutive_failures=0, failure_ratio=0)


def record_of(service: LoadBalancer, url: str) -> Record:
    """Return what is known of a backend, as of now."""
    strategy: Any = service.core._strategy
    strategy._tick_ends_at = -math.inf
    idle_shares(service, 1)
    member: Any = service.core._roster.table.find(url)
    return strategy._bring_up_to_date(member)  # type: ignore[no-any-return]


def known(*latencies: tuple[str, float], **options: Any) -> LoadBalancer:
    """Make a service of which enough is known that luck has no part in it."""
    service = make_service([A, B], **{"strategy": "adaptive"} | options)
    for _ in range(50):
        for url, latency in latencies:
            service.select(exclude=[B if url == A else A]).release(latency=latency)
    return service


@given(
    samples=st.lists(
        st.tuples(st.floats(0.001, 10.0), st.floats(0.0, 5.0)), min_size=1, max_size=30
    )
)
def test_latency_is_the_mean_that_fades(samples: list[tuple[float, float]]) -> None:
    service = make_service([A], strategy="adaptive")
    spent = successes = 0.0

    for latency, pause in samples:
        service.select().release(latency=latency)
        spent, successes = spent + latency, successes + 1
        advance(service, pause)
        faded = math.exp(-pause / MEMORY)
        spent, successes = spent * faded, successes * faded

    # Alone, it is the pool, so the prior is its own mean.
    mean = spent / successes
    believed = (PRIOR * mean + spent) / (PRIOR + successes)
    assert record_of(service, A).latency == pytest.approx(believed)


def test_what_is_not_heard_of_is_believed_to_be_like_the_others() -> None:
    service = known((A, 1.0), (B, 0.1))
    assert record_of(service, A).latency == pytest.approx(1.0, rel=0.1)

    for _ in range(100):
        advance(service, 1.0)
        service.select(exclude=[A]).release(latency=0.1)

    assert record_of(service, A).latency == pytest.approx(0.1, rel=0.05)


def test_units_that_grew_for_long_are_started_anew() -> None:
    service = known((A, 1.0), (B, 0.1), health=NEVER_EJECT)
    strategy: Any = service.core._strategy
    landmark = strategy._landmark
    for _ in range(2000):
        advance(service, 1.0)
        for url, latency in ((A, 1.0), (B, 0.1)):
            service.select(exclude=[B if url == A else A]).release(latency=latency)
        service.select(exclude=[B]).release(outcome=REFUSED)

    assert strategy._landmark > landmark + 900
    assert record_of(service, A).latency == pytest.approx(1.0, rel=0.2)
    assert record_of(service, A).surcharge > 0.02
    assert record_of(service, B).latency < 0.2


DAYS = 400 * 86_400.0


def test_service_that_was_idle_for_days_begins_anew() -> None:
    service = known((A, 0.1), (B, 10.0))

    advance(service, DAYS)

    assert idle_shares(service) == pytest.approx({A: 0.5, B: 0.5}, abs=0.1)
    assert record_of(service, B).successes == 0


@pytest.mark.parametrize("outcome", [Outcome.success(), TIMEOUT, CANCELLED])
def test_request_that_was_out_for_days_may_end(outcome: Outcome) -> None:
    service = known((A, 0.1), (B, 0.1))
    selections = [service.select() for _ in range(9)]

    advance(service, DAYS)
    for selection in selections:
        selection.release(outcome=outcome)

    assert idle_shares(service) == pytest.approx({A: 0.5, B: 0.5}, abs=0.1)


def test_at_high_rates_the_present_outweighs_the_past() -> None:
    service = make_service([A], strategy="adaptive")
    for latency in (0.01,) * 10_000 + (1.0,) * 100:
        service.select().release(latency=latency)

    assert record_of(service, A).latency > 0.5


def test_slow_backend_is_left_alone() -> None:
    service = known((A, 1.0), (B, 0.1))

    assert idle_shares(service) == {B: 1.0}


def test_equal_backends_share_although_chance_made_one_look_better() -> None:
    service = known((A, 0.105), (B, 0.100))

    assert idle_shares(service) == pytest.approx({A: 0.5, B: 0.5}, abs=0.1)


def test_idle_backends_share_by_weight() -> None:
    service = make_service([Backend(A, weight=3), B], strategy="adaptive")

    assert idle_shares(service) == pytest.approx({A: 0.75, B: 0.25}, abs=0.1)


def test_backends_of_weight_0_share_when_there_are_no_others() -> None:
    service = make_service(
        [Backend(url, weight=0) for url in (A, B)], strategy="adaptive"
    )

    assert idle_shares(service) == pytest.approx({A: 0.5, B: 0.5}, abs=0.1)


def test_load_is_spread_by_weight() -> None:
    service = make_service([Backend(A, weight=3), B], strategy="adaptive")

    held = [service.select() for _ in range(400)]

    found = service.stats().backends
    assert found[0].in_flight == pytest.approx(300, abs=20)
    for selection in held:
        selection.cancel()


@pytest.mark.parametrize("outcome", [REFUSED, STATUS_500, Outcome.failure("bad")])
def test_fast_failures_attract_nobody(outcome: Outcome) -> None:
    service = known((A, 0.1), (B, 0.1), health=NEVER_EJECT)

    for _ in range(4):
        service.select(exclude=[B]).release(outcome=outcome, latency=0.001)

    assert idle_shares(service)[B] == 1.0


def test_failures_that_all_have_in_common_send_nobody_elsewhere() -> None:
    service = known((A, 0.1), (B, 0.1))

    chosen = []
    for _ in range(100):
        selection = service.select()
        selection.release(outcome=STATUS_500, latency=0.01)
        chosen.append(selection.backend.url)

    assert chosen.count(A) == pytest.approx(50, abs=10)


def test_failure_says_less_where_the_others_fail_as_well() -> None:
    alone, one_of_many = known((A, 0.1), (B, 0.1)), known((A, 0.1), (B, 0.1))
    for _ in range(5):
        one_of_many.select(exclude=[A]).release(outcome=STATUS_500, latency=0.01)

    for service in (alone, one_of_many):
        service.select(exclude=[B]).release(outcome=STATUS_500, latency=0.01)

    assert record_of(alone, A).surcharge > 0
    assert record_of(one_of_many, A).surcharge == 0
    assert record_of(alone, A).good < record_of(one_of_many, A).good


def test_slow_failure_has_its_price_in_time_alone() -> None:
    service = known((A, 0.1), (B, 0.1))

    selection = service.select(exclude=[B])
    advance(service, 2.0)
    selection.release(outcome=TIMEOUT)

    assert record_of(service, A).surcharge == 0
    assert idle_shares(service) == {B: 1.0}


def test_success_ends_a_row_of_failures() -> None:
    service = known((A, 0.1), (B, 0.1))
    prices = []

    for outcome in (REFUSED, REFUSED, REFUSED, Outcome.success(), REFUSED):
        before = record_of(service, A).bad
        service.select(exclude=[B]).release(outcome=outcome, latency=0.01)
        prices.append(record_of(service, A).bad - before)

    assert prices == pytest.approx([1, 2, 4, 0, 1])


def test_failures_are_forgotten() -> None:
    service = known((A, 0.1), (B, 0.1))
    service.select(exclude=[B]).release(outcome=REFUSED)

    advance(service, 60.0)

    assert record_of(service, A).bad == 0
    assert record_of(service, A).surcharge == 0


def test_backend_that_hangs_is_left_alone_before_its_first_timeout() -> None:
    service = known((A, 0.1), (B, 0.1))
    hanging = service.select(exclude=[B])
    advance(service, 10.0)
    busy = service.select(exclude=[A])

    assert idle_shares(service) == {B: 1.0}
    hanging.cancel()
    busy.cancel()


def test_body_that_is_still_read_is_load_and_no_hanging() -> None:
    service = known((A, 0.1), (B, 0.1))
    streams = [service.select(exclude=[other]) for other in (A, B)]
    for stream in streams:
        advance(service, 0.1)
        stream.responded()
    advance(service, 1000.0)

    for url in (A, B):
        assert record_of(service, url).starts == 0
    assert idle_shares(service) == pytest.approx({A: 0.5, B: 0.5}, abs=0.1)
    for stream in streams:
        stream.release()


def test_what_waits_is_summed_exactly() -> None:
    service = make_service([A], strategy="adaptive")
    held = []
    for _ in range(1000):
        held.append(service.select())
        advance(service, 0.1)
    for selection in held[1:]:
        selection.responded()

    assert record_of(service, A).starts == pytest.approx(held[0].started_at)
    for selection in held:
        selection.release()


def test_given_up_request_leaves_the_time_that_it_waited() -> None:
    service = known((A, 0.1), (B, 0.1))

    selection = service.select(exclude=[B])
    advance(service, 5.0)
    selection.release(outcome=CANCELLED)

    assert record_of(service, A).latency > record_of(service, B).latency
    assert idle_shares(service) == {B: 1.0}


@pytest.mark.parametrize("latency", [None, 5.0])
@pytest.mark.parametrize("outcome", [Outcome.neutral(), Outcome.throttled(0.0)])
def test_what_is_not_the_backends_doing_says_nothing(
    outcome: Outcome, latency: float | None
) -> None:
    service = known((A, 0.1), (B, 0.1))
    before = record_of(service, A)
    spent, starts = before.spent, before.starts

    service.select(exclude=[B]).release(outcome=outcome, latency=latency)

    after = record_of(service, A)
    assert (after.spent, after.starts) == (spent, starts)


def test_answer_that_is_no_measure_of_speed_says_nothing_of_it() -> None:
    service = known((A, 0.1), (B, 0.1))
    before = record_of(service, A).spent

    service.select(exclude=[B]).responded(outcome=Outcome.throttled(0.0))

    assert record_of(service, A).spent == before


def test_returned_backend_is_believed_to_be_like_the_pool() -> None:
    service = known((A, 0.1), (B, 5.0))
    strategy: Any = service.core._strategy

    strategy.returned(service.core._roster.table.find(Backend(B)))

    assert record_of(service, B).latency == pytest.approx((0.1 + 5.0) / 2)


def test_backend_may_return_before_it_was_ever_considered() -> None:
    service = make_service([A, B], strategy="adaptive")
    strategy: Any = service.core._strategy

    strategy.returned(service.core._roster.table.find(Backend(B)))

    assert idle_shares(service) == pytest.approx({A: 0.5, B: 0.5}, abs=0.1)


# -- options ----------------------------------------------------------------------


def test_latency_may_be_left_out() -> None:
    service = known((A, 1.0), (B, 0.1), strategy="adaptive;latency=0")

    assert idle_shares(service) == pytest.approx({A: 0.5, B: 0.5}, abs=0.1)


def test_latency_may_count_twice() -> None:
    service = known((A, 0.3), (B, 0.1), strategy="adaptive;latency=2")
    held = [service.select(exclude=[A]) for _ in range(3)]

    # (1 + 3) ** 0.75 is less than 3 squared: the faster one is the better all the same.
    assert idle_shares(service) == {B: 1.0}
    for selection in held:
        selection.cancel()


def test_failures_may_be_left_out() -> None:
    service = known((A, 0.1), (B, 0.1), strategy="adaptive;errors=0")

    for _ in range(3):
        service.select(exclude=[B]).release(outcome=REFUSED)

    assert idle_shares(service) == pytest.approx({A: 0.5, B: 0.5}, abs=0.1)


def test_load_may_be_left_out() -> None:
    service = known((A, 0.1), (B, 0.1), strategy="adaptive;load=0")

    held = [service.select(exclude=[B]) for _ in range(5)]

    assert idle_shares(service) == pytest.approx({A: 0.5, B: 0.5}, abs=0.1)
    for selection in held:
        selection.cancel()


@pytest.mark.parametrize("name", ["latency", "errors", "load"])
@pytest.mark.parametrize("value", ["-1", "10.1", "inf", "nan"])
def test_options_must_be_from_0_to_10(name: str, value: str) -> None:
    with pytest.raises(ConfigurationError, match=name):
        make_strategy(f"adaptive;{name}={value}")


# -- many -------------------------------------------------------------------------


@pytest.mark.parametrize("size", [33, 64, 100, 1000])
def test_of_many_a_sample_is_looked_at_and_all_are_as_likely(size: int) -> None:
    urls = [f"http://10.0.{n // 250}.{n % 250}" for n in range(size)]
    service = make_service(urls, strategy="adaptive")

    found = idle_shares(service, 30 * size)

    assert len(found) > 0.99 * size
    assert max(found.values()) < 3 / size


def test_hundreds_in_flight_are_priced() -> None:
    service = make_service([A, B], strategy="adaptive")

    held = [service.select() for _ in range(300)]

    assert service.core.in_flight(A) == pytest.approx(150, abs=5)
    for selection in held:
        selection.cancel()


def test_new_backend_is_believed_to_be_like_its_peers() -> None:
    service = known((A, 0.1), (B, 0.1))

    service.add_backend(C)

    assert record_of(service, C).latency == pytest.approx(0.1, rel=0.05)
    assert idle_shares(service)[C] == pytest.approx(1 / 3, abs=0.1)


def test_strategy_may_be_an_instance() -> None:
    service = make_service([A, B], strategy=Adaptive(errors=2.0))
    service.core.rng = random.Random(5)

    assert idle_shares(service) == pytest.approx({A: 0.5, B: 0.5}, abs=0.1)
