"""What the strategies that hash have in common: the way from a key to a backend.

A placement says which backend a key belongs to, and who stands in for it.
It is made of all members' URLs and weights and of nothing else, so that health, drain
and retries move no key for good: a key whose backend is no candidate goes to a
stand-in, and returns when its backend does.

Not here: the placements (`consistent_hash`, `rendezvous`, `maglev`).

References:
    gRFC A76, on requests without a key.
    Chen, Coleman, Shrivastava, "Revisiting Consistent Hashing with Bounded Loads",
    2019: what overflows is scattered by its key, for the neighbour would be the next
    to overflow.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, ClassVar, Generic, Protocol, TypeVar

from lbtransport._validation import check_number
from lbtransport.strategies._bounded import Bounds, least_loaded
from lbtransport.strategies._contract import Candidates, Member
from lbtransport.strategies._draw import draw_index
from lbtransport.strategies._keys import BITS, hash_key
from lbtransport.strategies._rank import highest

if TYPE_CHECKING:
    from random import Random

# Keys whose homes are remembered, and how long a text may be to be one of them: some
# hash by whole prompts, and these are not ours to keep.
_MEMO_SIZE = 4096
_MEMO_LENGTH = 128


class Placement(Protocol):
    """Where keys belong, as URLs.  Never changed once it is built.

    Attributes:
        patience: After how many steps of `successors` or `scattered` it is cheaper to
            look at each candidate.
    """

    patience: ClassVar[int]

    def home(self, position: int) -> str | None:
        """Return the backend that a position belongs to; None if there is none."""
        ...

    def successors(self, position: int) -> Iterator[str]:
        """Return the home, and then who stands in for it; repetitions are allowed."""
        ...

    def scattered(self, position: int) -> Iterator[str]:
        """Return backends in an order in which the keys of one home part ways."""
        ...


P = TypeVar("P", bound=Placement)


@dataclass(slots=True)
class _Table(Generic[P]):
    """A placement and the members behind its URLs.

    Attributes:
        placement: None before there are members.
        weights: By URL; what the placement was made of.
        members: All of them, as they were given.
        found: The same, by URL.
        memo: The homes of keys that were met lately.
        complete: Candidates that are all the members.
    """

    placement: P | None = None
    weights: Mapping[str, float] = field(default_factory=dict)
    members: Sequence[Member] = ()
    found: Mapping[str, Member] = field(default_factory=dict)
    memo: dict[Hashable, Member] = field(default_factory=dict)
    complete: Candidates | None = None

    def home(self, key: Hashable) -> Member | None:
        """Return the member that a key belongs to, and remember it."""
        position = hash_key(key)  # also of who comes first, so that a bad key is told
        url = self.placement.home(position) if self.placement is not None else None
        if url is None:
            return None
        member = self.found[url]
        if type(key) is int or (type(key) is str and len(key) <= _MEMO_LENGTH):
            if len(self.memo) == _MEMO_SIZE:
                self.memo.clear()
            self.memo[key] = member
        return member

    def is_candidate(self, member: Member, candidates: Candidates) -> bool:
        """Tell whether a member is among `candidates`, which mostly all members are."""
        if len(candidates) == len(self.members) and candidates.members is self.members:
            self.complete = candidates  # seen at a glance from now on
            return True
        return member in candidates

    def stand_in(self, candidates: Candidates, position: int) -> Member:
        """Return the first successor that is a candidate."""
        if self.placement is not None:
            for member in self.first(self.placement.successors(position)):
                if member in candidates:
                    return member
        return highest(candidates, position)

    def first(self, urls: Iterator[str]) -> Iterator[Member]:
        """Return the members behind the first of `urls`, as many as pay."""
        assert self.placement is not None
        return map(self.found.__getitem__, islice(urls, self.placement.patience))


class Keyed(ABC, Generic[P]):
    """Chooses by key, and at random for who has none.

    Attributes:
        is_keyed: True; see `Strategy`.
        unkeyed: Choices that were made without a key.
    """

    is_keyed = True

    # There only with bounded load, so that nobody else pays for them.
    selected: Callable[..., None]
    released: Callable[..., None]

    def __init__(self, *, load_factor: float) -> None:
        """Have no members yet; `load_factor` 0 sets no bound."""
        self.unkeyed = 0
        self._table: _Table[P] = _Table()
        self._bounds: Bounds | None = None
        if load_factor != 0:
            check_number("load_factor", load_factor, least=1, unit="0 or a number")
            self._bounds = Bounds(load_factor)
            self.selected = self._bounds.selected
            self.released = self._bounds.released

    @abstractmethod
    def _place(
        self, weights: Mapping[str, float], old: P | None
    ) -> Generator[None, None, P]:
        """Build a placement from weights by URL, and perhaps from the one before."""
        ...

    def members_changed(self, members: Sequence[Member]) -> Iterator[None]:
        """Build a new placement, unless all URLs and weights are the same."""
        old = self._table
        weights = {member.backend.url: member.backend.weight for member in members}
        placement = old.placement
        if placement is None or weights != old.weights:
            yield
            placement = yield from self._place(weights, placement)
            yield
        found = {member.backend.url: member for member in members}
        self._table = _Table(placement, weights, members, found)

    def choose(
        self, candidates: Candidates, *, key: Hashable, now: float, rng: Random
    ) -> Member:
        """Return the candidate that the key belongs to, or who stands in for it."""
        table = self._table
        kind = type(key)
        # Of other kinds there are keys that are equal and yet hash differently.
        member = table.memo.get(key) if kind is str or kind is int else None
        if member is None:
            if key is None:
                return self._choose_unkeyed(candidates, rng)
            member = table.home(key)
        if member is None or (
            candidates is not table.complete
            and not table.is_candidate(member, candidates)
        ):
            member = table.stand_in(candidates, hash_key(key))
        if self._bounds is not None and not self._has_room(member, candidates):
            return self._relieve(candidates, hash_key(key))
        return member

    def _choose_unkeyed(self, candidates: Candidates, rng: Random) -> Member:
        """Return a candidate drawn by weight."""
        self.unkeyed += 1
        member = candidates[draw_index(candidates, rng)]
        if self._bounds is not None and not self._has_room(member, candidates):
            return self._relieve(candidates, rng.getrandbits(BITS))
        return member

    def _has_room(self, member: Member, candidates: Candidates) -> bool:
        assert self._bounds is not None
        self._bounds.count(self._table.members)
        return self._bounds.has_room(member, candidates)

    def _relieve(self, candidates: Candidates, position: int) -> Member:
        """Return a candidate with room; if none has any, the least loaded."""
        table = self._table
        if table.placement is not None:
            for member in table.first(table.placement.scattered(position)):
                if member in candidates and self._has_room(member, candidates):
                    return member
        roomy = [one for one in candidates if self._has_room(one, candidates)]
        return highest(roomy, position) if roomy else least_loaded(candidates)
