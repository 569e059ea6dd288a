"""Adaptive, the default: the least expected delay, learned from our own requests.

The latency of each backend is estimated as the mean of an exponential distribution,
with the pool's own mean as prior knowledge and what still waits as censored samples:

    latency = (a mean + time spent + ages of what waits) / (a + successes)

Time spent counts every attempt, so a timeout is two seconds without a success; and a
failure that takes a millisecond adds neither time nor a success, so it fools nobody.
All sums fade, so what is not heard of for long is believed to be like the rest of the
pool, and is tried again.

    cost = latency (1 + in flight / weight)^p
         + penalty * failures in excess of the others' * mean (1 + mean in flight)^p

The candidate of the least cost is chosen, out of all of them (out of 32 at random when
there are more), and of several of the same cost the first in turn.
The turn moves on after three requests, or the mean of a latency: of clients that share
servers, each then keeps to a few for a moment, and what it has in flight there tells it
more about their queues than requests that are strewn over all of them.

What may be luck is no reason for a choice (`_doubt`), unless it is of one that pays for
failures: it may be back, and slow.

Where the others fail as well, a failure says less of its backend, and an excess that
may be luck costs nothing.
Otherwise whoever happened not to fail of late would get all that comes.

Slow start is the balancer's, not the strategy's.

References:
    The gamma distribution as conjugate prior of the exponential, with right-censored
    samples: any book on survival analysis.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING

from lbtransport._types import Outcome, Verdict
from lbtransport._types.outcome import CANCELLED
from lbtransport._validation import check_number
from lbtransport.strategies._contract import Candidates, Member
from lbtransport.strategies._doubt import Doubt
from lbtransport.strategies._record import PRIOR, STALE, Record

if TYPE_CHECKING:
    from random import Random

# Seconds; of latencies.  That of failures is half as long: the same factor, squared.
_MEMORY = 10.0
_PRIOR_OF_FAILURES = 4.0
_POWER = 0.75  # of the load; below 1, because a server works on more than one at once
_MOST_EXPONENT = 10.0  # beyond, powers leave the numbers, and choose no better
_PENALTY = 20.0  # of a backend that always fails, in multiples of a mean delay
_MOST_SAMPLES = 100.0  # so that at high rates the past does not outweigh the present
_MOST_CANDIDATES = 32
_MOST_IN_A_ROW = 3
_REFUTED = 0.3  # what a failure leaves of the successes that it is weighed against
_USUAL = 0.02  # part of the others' requests that fails; then one more says nothing
_LUCK = 2.0  # standard errors by which failures may exceed those of the others
_MOST_IN_TURN = 3  # requests
_TICK = 0.1  # seconds between two looks at the pool; 1 % of the memory
_MOST_POWERS = 64  # in flight; beyond, they are computed
_NEXT_TO_0 = 1e-9  # a weight
_FORGOTTEN = 0.02  # of a failure
_LANDMARK = 1000.0  # seconds between two starts of the growing units
# Squared and summed up they must stay below the greatest float, e**709, however long
# nothing was chosen: a service may be idle, and a request out, for days.
_MOST_GROWTH = 300.0


class Adaptive:
    """Prices latency, failures and load in one cost.

    Args:
        latency: Exponent of the latency: at 0 all backends are equally fast.
        errors: Factor of the price of failures: at 0 they cost nothing.
        load: Factor of the exponent of the load: at 0 it does not matter how much is
            in flight.

    Raises:
        ConfigurationError: If one of them is not from 0 to 10.
    """

    def __init__(
        self, latency: float = 1.0, errors: float = 1.0, load: float = 1.0
    ) -> None:
        """Have heard of nobody yet."""
        for name, value in (("latency", latency), ("errors", errors), ("load", load)):
            check_number(name, value, most=_MOST_EXPONENT)
        self._exponent = latency
        self._penalty = _PENALTY * errors
        self._power = _POWER * load
        self._powers = [(1 + n) ** self._power for n in range(_MOST_POWERS)]
        self._pool = Record()
        self._landmark = -math.inf  # none yet
        # As of the last tick:
        self._tick = 0
        self._tick_ends_at = -math.inf
        self._shrunk = 1.0  # what a unit of the landmark is worth
        self._unit_of_tick = 1.0  # the other way round
        self._mean = 0.0  # seconds
        self._price = 0.0  # of an excess of failures of 1
        self._luck = 0.0  # differences from the mean, in parts of it, that are luck
        self._doubt = Doubt()
        self._turn = 0  # where those of the same cost are gone through from
        self._turn_ends_at = -math.inf
        self._in_turn = 0  # requests since it moved on
        self._version = 0
        self._twice: tuple[Member, ...] = ()

    def members_changed(self, members: Sequence[Member]) -> None:
        """Keep nothing: each member's record is in its slot."""

    # -- what comes in ------------------------------------------------------------

    def selected(self, member: Member, *, now: float) -> None:
        """Count the time from here on as waiting."""
        record: Record = member.strategy_state
        # Alone, it starts the sum anew: so no error is carried along for ever.
        record.starts = now + (record.starts if member.waiting > 1 else 0.0)

    def responded(
        self,
        member: Member,
        *,
        started_at: float,
        now: float,
        latency: float,
        outcome: Outcome,
    ) -> None:
        """Take the latency in, and whether it was that of a success."""
        record: Record = member.strategy_state
        record.starts -= started_at
        if outcome.health is Verdict.FAILURE:
            self._failed(record, latency, now)
        elif outcome.sample:
            self._succeeded(record, latency, now)

    def released(
        self,
        member: Member,
        *,
        started_at: float,
        now: float,
        outcome: Outcome,
        was_waiting: bool,
    ) -> None:
        """Take in the time that was waited for nothing."""
        if not was_waiting:
            return
        record: Record = member.strategy_state
        record.starts -= started_at
        if outcome.health is Verdict.FAILURE:
            self._failed(record, now - started_at, now)
        elif outcome is CANCELLED:
            # Neither good nor bad, but so long it took at least.
            record.spent += (now - started_at) * self._unit(now)
            record.tick = STALE

    def returned(self, member: Member) -> None:
        """Take a backend that was ejected, and is back, for one like the others."""
        if member.strategy_state is not None:
            member.strategy_state.forget()

    def _succeeded(self, record: Record, latency: float, now: float) -> None:
        # Within a tick a unit hardly grows.
        unit = self._unit_of_tick if now < self._tick_ends_at else self._unit(now)
        short, pool, spent = unit * unit, self._pool, latency * unit
        record.spent += spent
        record.successes += unit
        most = _MOST_SAMPLES * unit
        if record.successes > most:
            record.spent *= most / record.successes
            record.successes = most
        record.good += short
        record.good = min(record.good, _MOST_SAMPLES * short)
        record.in_a_row = 0
        record.tick = STALE
        pool.spent += spent
        pool.successes += unit
        pool.good += short

    def _failed(self, record: Record, latency: float, now: float) -> None:
        unit = self._unit(now)
        short = unit * unit
        record.spent += latency * unit
        record.tick = STALE
        record.failed += short
        self._pool.failed += short
        # A slow failure has its price in the time that it took.  Priced twice, a
        # brown-out would go on for ever: measured.
        if latency <= self._mean or not self._pool.successes:
            usual = record.failures_elsewhere(self._pool, short)
            surprise = max(0.0, 1 - usual / _USUAL)
            record.bad += short * (1 + surprise) ** record.in_a_row
            record.good *= 1 - (1 - _REFUTED) * surprise
            record.in_a_row = min(record.in_a_row + 1, _MOST_IN_A_ROW - 1)

    def _unit(self, now: float) -> float:
        """Return what one unit of now is worth in those of the landmark."""
        return math.exp(min((now - self._landmark) / _MEMORY, _MOST_GROWTH))

    # -- what goes out ------------------------------------------------------------

    def choose(
        self, candidates: Candidates, *, key: Hashable, now: float, rng: Random
    ) -> Member:
        """Return a candidate whose cost is as good as the least."""
        if now >= self._tick_ends_at:
            self._look_at_the_pool(candidates, now)
        some: Sequence[Member] = candidates
        if len(candidates) > _MOST_CANDIDATES:
            some = self._sample(candidates, rng)
        is_uniform = candidates.is_uniform
        costs = self._costs(some, now, is_uniform=is_uniform)
        least = min(costs)
        if not is_uniform:
            equals = [
                member
                for member, cost in zip(some, costs, strict=True)
                if cost == least
            ]
            weights = [member.backend.weight for member in equals]
            return rng.choices(equals, weights if any(weights) else None)[0]
        self._in_turn += 1
        if self._in_turn > _MOST_IN_TURN or now >= self._turn_ends_at:
            self._turn = (self._turn + 1) % len(some)
            self._turn_ends_at = now + self._mean
            self._in_turn = 1
        try:
            place = costs.index(least, self._turn)
        except ValueError:
            place = costs.index(least)
        return some[place]

    def _costs(
        self, some: Sequence[Member], now: float, *, is_uniform: bool
    ) -> list[float]:
        tick, powers, exponent = self._tick, self._powers, self._exponent
        costs: list[float] = []
        for member in some:
            record = member.strategy_state
            if record is None or record.tick != tick:
                record = self._bring_up_to_date(member)
            in_flight = member.in_flight
            if not in_flight:
                costs.append(record.idle_cost)
                continue
            cost = record.latency
            if member.waiting:
                cost += (member.waiting * now - record.starts) / record.count
            if exponent != 1:
                cost **= exponent
            if is_uniform and in_flight < _MOST_POWERS:
                cost *= powers[in_flight]
            else:
                weight = 1 if is_uniform else member.backend.weight or _NEXT_TO_0
                cost *= (1 + in_flight / weight) ** self._power
            costs.append(cost + record.surcharge)
        return costs

    def _bring_up_to_date(self, member: Member) -> Record:
        """Compute what is asked of a record at each choice."""
        record: Record | None = member.strategy_state
        if record is None:
            record = member.strategy_state = Record()
        shrunk, mean = self._shrunk, self._mean
        record.count = PRIOR + record.successes * shrunk
        latency = (PRIOR * mean + record.spent * shrunk) / record.count
        record.surcharge = self._surcharge_of(record) if record.bad else 0.0
        is_luck = abs(latency - mean) < self._luck * mean
        if is_luck and not record.surcharge:
            latency = mean
        record.latency = latency
        idle_cost = latency if self._exponent == 1 else latency**self._exponent
        record.idle_cost = idle_cost + record.surcharge
        record.tick = self._tick
        return record

    def _surcharge_of(self, record: Record) -> float:
        """Return the price of a backend's failures, and forget the last of them."""
        shrunk = self._shrunk * self._shrunk
        bad, good = record.bad * shrunk, record.good * shrunk
        if bad < _FORGOTTEN:
            record.bad = 0.0
            return 0.0
        count = _PRIOR_OF_FAILURES + bad + good
        usual = record.failures_elsewhere(self._pool, 1 / shrunk)
        luck = _LUCK * math.sqrt(usual * (1 - usual) / count)
        return self._price * max(0.0, bad / count - usual - luck)

    def _look_at_the_pool(self, candidates: Candidates, now: float) -> None:
        """Compute what all costs have in common."""
        if now - self._landmark > _LANDMARK:
            self._move_landmark(candidates.members, now)
        pool = self._pool
        self._unit_of_tick = self._unit(now)
        self._shrunk = 1 / self._unit_of_tick
        self._mean = pool.spent / pool.successes if pool.successes else 0.0
        load = sum(candidate.in_flight for candidate in candidates) / len(candidates)
        delay = self._mean**self._exponent * (1 + load) ** self._power
        self._price = self._penalty * delay
        known = pool.successes * self._shrunk
        size = len(candidates)
        self._luck = self._doubt.look(load, known / size, size, now)
        self._tick += 1
        # At first each answer changes much.
        self._tick_ends_at = now + (_TICK if known > _MOST_SAMPLES else 0.0)

    def _move_landmark(self, members: Sequence[Member], now: float) -> None:
        """Start the units anew, before they grow out of the numbers."""
        shrunk = math.exp((self._landmark - now) / _MEMORY)
        records = [member.strategy_state for member in members]
        for record in (self._pool, *filter(None, records)):
            record.shrink(shrunk)
        self._landmark = now

    def _sample(self, candidates: Candidates, rng: Random) -> Sequence[Member]:
        """Return 32 candidates, each as likely as any other: every so-manieth."""
        size = len(candidates)
        if candidates.version != self._version:
            self._twice = (*candidates, *candidates)
            self._version = candidates.version
        start = rng.getrandbits(32) % size
        step = 1 + rng.getrandbits(32) % (size // _MOST_CANDIDATES)
        return self._twice[start : start + step * _MOST_CANDIDATES : step]
