"""What a strategy is given, and what is asked of it.

A strategy knows nothing of health, drain, zones or retries: the balancer filters, and
every candidate that is passed in is fair game.
It is called under the balancer's lock, so it needs none of its own and must not block.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Hashable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Protocol, Self

from lbtransport._lazy import lazy
from lbtransport._types import Backend
from lbtransport.strategies._alias import alias_table

if TYPE_CHECKING:
    from random import Random

_versions = itertools.count(1)


class Member(Protocol):
    """A backend as a strategy sees it.

    Attributes:
        backend: Its URL, weight, zone and metadata.
        in_flight: Selections not released yet.
        waiting: Those of them without headers yet.
        strategy_state: One slot, the strategy's own; None at first.
            It survives every update of the list of backends.
    """

    backend: Backend
    in_flight: int
    waiting: int
    strategy_state: Any


class Candidates(tuple[Member, ...]):  # noqa: SLOT001 - a tuple can have none
    """The backends that may be selected now: an immutable, indexable sequence.

    Attributes:
        members: All backends of the service, for tables that must not change with
            health (hashing).
        version: A number that no other set of candidates has.
    """

    members: Sequence[Member]
    version: int
    _ids: frozenset[int] | None

    def __new__(
        cls, candidates: Sequence[Member], members: Sequence[Member] | None = None
    ) -> Self:
        """Hold `candidates`, a part of `members`; by default all of them."""
        self = super().__new__(cls, candidates)
        self.members = self if members is None else members
        self.version = next(_versions)
        self._ids = None
        return self

    @lazy
    def weights(self) -> Sequence[float]:
        """Each candidate's weight; where all are 0, all are 1."""
        weights = [member.backend.weight for member in self]
        return weights if any(weights) else [1.0] * len(weights)

    @lazy
    def is_uniform(self) -> bool:
        """Whether all weights are equal."""
        return min(self.weights) == max(self.weights)

    @lazy
    def total_weight(self) -> float:
        """The sum of `weights`."""
        return math.fsum(self.weights)

    @lazy
    def alias_table(self) -> Sequence[tuple[float, int]]:
        """What a draw by weight looks at; see `alias_table`."""
        return alias_table(self.weights)

    def __contains__(self, member: object) -> bool:
        """Tell, in constant time, whether `member` itself is a candidate."""
        if self._ids is None:
            self._ids = frozenset(map(id, self))
        return id(member) in self._ids


class Strategy(Protocol):
    """The rule that chooses among candidates.

    A strategy may also have any of four methods, called under the lock after the
    member's counters were brought up to date:

    - ``selected(member, *, now)``,
    - ``responded(member, *, started_at, now, latency, outcome)``: the headers came,
    - ``released(member, *, started_at, now, outcome, was_waiting)``: it is over,
    - ``returned(member)``: it was ejected for what failed, and is back; what spoke
      against it has had its consequence.

    Instants and `latency` are seconds; `started_at` is what `now` was when the member
    was selected, and `latency` may differ from their difference, for the caller may
    have measured it himself.
    An `outcome` says in `sample` whether the latency is a measure of speed.
    What failed, or was given up, before its headers is released while it was waiting,
    and never responded.

    It may have attributes that say of what kind it is, the first of the class or of the
    instance:

    - ``is_keyed`` (False): the key decides, and the same key is to meet the same
      backend.  So nothing that would move keys is done to it: no share is cut down
      while a backend starts slowly.  Where it is False, a service that has a rule for
      keys says in the log that the rule has no effect.
    - ``unkeyed`` (0): how many choices it made without a key, for `stats()`.

    One strategy serves one balancer, and may keep what it likes; what it knows of one
    backend belongs into the member's slot, where it survives updates.
    In the child of a fork the members are copies with the same slots and nothing in
    flight, of which `members_changed` tells; requests of the parent may still end.

    `lbtransport.testing.check_strategy` tells whether a strategy keeps to all of this.
    """

    def members_changed(self, members: Sequence[Member]) -> Iterable[None] | None:
        """Take note of all backends of the service, and of their weights.

        Called before the first choice, and whenever the list or an attribute changed;
        never twice at once, and under no lock: choices go on meanwhile.
        So publish what you build with one assignment, leave the members' slots alone,
        and expect that candidates may for a moment be strangers to it.

        Returns:
            None; or, of a build that takes long, an iterator (the method may be a
            generator) that is run to its end, and gives other threads a turn at each
            step.  A millisecond is a good step.
        """
        ...

    def choose(
        self, candidates: Candidates, *, key: Hashable, now: float, rng: Random
    ) -> Member:
        """Return one of `candidates`, which are never empty.

        Of a member only its slot may be changed; a choice is no selection yet, so what
        is counted by choices need not come back as a release.

        Args:
            candidates: Those that may be selected now.
            key: What the caller wants to be spread by, None if he has no wish.
            now: The instant of the selection, monotonic seconds.
            rng: The only source of chance that may be used.
        """
        ...
