"""Least connections: the least loaded candidate is taken."""

from __future__ import annotations

from lbtransport.strategies import Candidates
from lbtransport.strategies.least_connections import LeastConnections
from tests.strategies.kit import make_members, shares


def test_least_connections_takes_the_least_loaded() -> None:
    members = make_members((2, 1), (1, 1), (3, 1))

    found = shares(LeastConnections(), Candidates(members), 20)

    assert found == [0, 1, 0]


def test_least_connections_breaks_ties_at_random() -> None:
    members = make_members((1, 1), (0, 1), (0, 1), (0, 1))

    found = shares(LeastConnections(), Candidates(members), 3000)

    assert found[0] == 0
    assert all(abs(share - 1 / 3) < 0.05 for share in found[1:])
