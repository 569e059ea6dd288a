"""What the tests of the strategies share: members, services, and their shares."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Hashable, Sequence
from typing import Any

from lbtransport import Backend, LoadBalancer
from lbtransport._backends import BackendState
from lbtransport.strategies import Candidates, Strategy
from tests.core_kit import URLS, advance


def make_members(*in_flight_and_weight: tuple[int, float]) -> list[BackendState]:
    members = []
    for number, (in_flight, weight) in enumerate(in_flight_and_weight, 1):
        state = BackendState(Backend(f"http://10.0.0.{number}", weight=weight))
        state.in_flight = state.waiting = in_flight
        members.append(state)
    return members


def tell(strategy: Strategy, members: Sequence[BackendState]) -> None:
    """Tell a strategy of its members, as the balancer does: to the end of its work."""
    for _ in strategy.members_changed(tuple(members)) or ():
        pass


def choose(
    strategy: Strategy,
    candidates: Candidates,
    rng: random.Random,
    key: Hashable = None,
) -> Any:
    return strategy.choose(candidates, key=key, now=1000.0, rng=rng)


def shares(
    strategy: Strategy, candidates: Candidates, times: int, *, keyed: bool = False
) -> list[float]:
    rng = random.Random(7)
    chosen = Counter(
        id(choose(strategy, candidates, rng, number if keyed else None))
        for number in range(times)
    )
    return [chosen[id(member)] / times for member in candidates]


def serve(service: LoadBalancer, url: str, seconds: float) -> None:
    """Have a backend answer one request in so many seconds."""
    selection = service.select(exclude=[other for other in URLS if other != url])
    advance(service, seconds)
    selection.release()


def idle_shares(service: LoadBalancer, times: int = 400) -> dict[str, float]:
    """Return whom idle backends' requests go to, without telling the strategy."""
    core = service.core
    core._roster.refresh(core._now())
    chosen = [
        core._strategy.choose(
            core._roster.candidates, key=None, now=core._now(), rng=core.rng
        ).backend.url
        for _ in range(times)
    ]
    return {url: chosen.count(url) / times for url in {*chosen}}
