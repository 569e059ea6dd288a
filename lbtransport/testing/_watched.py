"""A strategy under watch: whatever it is asked is held against its contract.

It is a strategy itself and passes everything on, so a check can ask it directly or have
a real balancer do so.

Not here: what it is asked (`contract`, `_life`).
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from random import Random
from typing import Any

from lbtransport.strategies import Candidates, Member, Strategy

_MOST_SHOWN = 6


class Watched:
    """Passes on what it is asked, and raises AssertionError at the first wrong answer.

    Attributes:
        strategy: Who is watched.
        is_keyed: What the strategy says of itself.
        chosen: The URLs of all its choices.
    """

    def __init__(self, strategy: Strategy) -> None:
        """Watch `strategy`."""
        self.strategy = strategy
        self.is_keyed = bool(getattr(strategy, "is_keyed", False))
        self.chosen: list[str] = []

    def members_changed(self, members: Sequence[Member]) -> Iterator[None]:
        """Tell it, and take its steps one by one."""
        with _explained(f"members_changed([{shown(members)}])"):
            steps = self.strategy.members_changed(members)
            expect(
                steps is None or isinstance(steps, Iterable),
                f"it returned {steps!r}; return None, or yield",
            )
            yield from steps or ()

    def choose(
        self, candidates: Candidates, *, key: Hashable, now: float, rng: Random
    ) -> Member:
        """Return its choice, if that is a candidate and nothing else has changed."""
        asked = f"choose([{shown(candidates)}], key={key!r}, now={now!r})"
        before = _look(candidates.members)
        with _explained(asked):
            chosen = self.strategy.choose(candidates, key=key, now=now, rng=rng)
            expect(
                any(chosen is candidate for candidate in candidates),
                f"it returned {_named(chosen)}, which is none of the candidates; "
                f"return one of the objects that were passed in",
            )
            self._expect_unchanged(before)
        self.chosen.append(chosen.backend.url)
        return chosen

    def selected(self, member: Member, **rest: Any) -> None:
        """Tell it, if it wants to know."""
        self._tell("selected", member, rest)

    def responded(self, member: Member, **rest: Any) -> None:
        """Tell it, if it wants to know."""
        self._tell("responded", member, rest)

    def released(self, member: Member, **rest: Any) -> None:
        """Tell it, if it wants to know."""
        self._tell("released", member, rest)

    def _tell(self, method: str, member: Member, rest: dict[str, Any]) -> None:
        told = getattr(self.strategy, method, None)
        if told is None:
            return
        before = _look([member])
        arguments = ", ".join(f"{name}={value!r}" for name, value in rest.items())
        with _explained(f"{method}({shown([member])}, {arguments})"):
            told(member, **rest)
            self._expect_unchanged(before)

    def _expect_unchanged(self, before: list[tuple[Member, tuple[Any, ...]]]) -> None:
        for member, values in before:
            for name, was, now in zip(_READ_ONLY, values, _values(member), strict=True):
                expect(
                    was is now or was == now,
                    f"it changed {name} of {member.backend.url} from {was!r} to "
                    f"{now!r}; of a member only strategy_state is the strategy's",
                )


def expect(condition: bool, message: str) -> None:
    """Raise an AssertionError with `message` unless `condition` holds.

    Not an assert statement, for these may be switched off.
    """
    if not condition:
        raise AssertionError(message)


def shown(members: Sequence[Member]) -> str:
    """Return members as they stand in messages."""
    texts = [
        f"{one.backend.url} weight={one.backend.weight:g} in_flight={one.in_flight} "
        f"waiting={one.waiting}"
        for one in members[:_MOST_SHOWN]
    ]
    more = len(members) - len(texts)
    return "; ".join([*texts, *([f"and {more} more"] if more else [])])


@contextmanager
def _explained(asked: str) -> Iterator[None]:
    """Say with whatever goes wrong what was asked."""
    try:
        yield
    except AssertionError as error:
        raise AssertionError(f"{asked}: {error}") from error.__cause__
    except Exception as error:
        raise AssertionError(
            f"{asked}: it raised {type(error).__name__}: {error}"
        ) from error


_READ_ONLY = ("backend", "in_flight", "waiting")


def _values(member: Member) -> tuple[Any, ...]:
    return tuple(getattr(member, name) for name in _READ_ONLY)


def _look(members: Sequence[Member]) -> list[tuple[Member, tuple[Any, ...]]]:
    return [(member, _values(member)) for member in members]


def _named(chosen: object) -> str:
    backend = getattr(chosen, "backend", None)
    return repr(chosen) if backend is None else f"the member {backend.url}"
