"""Round robin: the candidates take turns."""

from __future__ import annotations

import random
import threading
from collections import Counter

from lbtransport import HealthPolicy
from lbtransport.strategies import Candidates
from lbtransport.strategies.round_robin import RoundRobin
from tests.core_kit import make_service
from tests.strategies.kit import choose, make_members


def test_round_robin_takes_turns() -> None:
    members = make_members(*[(0, 1)] * 3)
    candidates, strategy = Candidates(members), RoundRobin()

    chosen = [choose(strategy, candidates, random.Random(7)) for _ in range(6)]

    assert chosen == members * 2


def test_round_robin_goes_on_when_candidates_change() -> None:
    members = make_members(*[(0, 1)] * 4)
    strategy, rng = RoundRobin(), random.Random(7)

    chosen = Counter(
        choose(strategy, Candidates(members), rng) for _ in range(4) for _ in range(3)
    )

    assert set(chosen.values()) == {3}


def test_round_robin_begins_elsewhere_in_each_balancer() -> None:
    firsts = set()
    for seed in range(30):
        service = make_service(
            strategy="round_robin", health=HealthPolicy(slow_start=0)
        )
        core = service.core
        core.rng.seed(seed)
        service.update_backends(service.backends[:2])
        service.add_backend("http://10.0.0.3")
        firsts.add(service.select().backend.url)

    assert len(firsts) == 3


def test_round_robin_is_one_turn_for_all_threads() -> None:
    service = make_service(strategy="round_robin")

    def work() -> None:
        for _ in range(150):
            service.select().release()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [backend.total for backend in service.stats().backends] == [200] * 3


def test_new_thread_does_not_begin_the_turn_anew() -> None:
    service = make_service(strategy="round_robin")

    for _ in range(6):
        thread = threading.Thread(target=lambda: service.select().release())
        thread.start()
        thread.join()

    assert [backend.total for backend in service.stats().backends] == [2] * 3


def test_only_candidate_takes_nobodys_turn() -> None:
    members = make_members((0, 1), (0, 1), (0, 1))
    strategy, rng = RoundRobin(), random.Random(7)

    firsts = []
    for _ in range(3):
        firsts.append(choose(strategy, Candidates(members), rng))
        choose(strategy, Candidates([firsts[-1]], members), rng)

    assert set(firsts) == set(members)
