"""Candidates, as a strategy sees them."""

from __future__ import annotations

import itertools

from lbtransport.strategies import Candidates
from tests.strategies.kit import make_members


def test_candidates_know_their_members_by_identity() -> None:
    one, twin = make_members((0, 1))[0], make_members((0, 1))[0]
    candidates = Candidates([one])

    assert one in candidates
    assert twin not in candidates


def test_candidates_are_all_members_unless_told_otherwise() -> None:
    members = make_members((0, 1), (0, 1))

    assert list(Candidates(members).members) == members
    assert list(Candidates(members[:1], members).members) == members


def test_no_two_sets_of_candidates_share_a_version() -> None:
    members = make_members((0, 1))

    versions = [Candidates(members).version for _ in range(5)]

    assert all(one < other for one, other in itertools.pairwise(versions))
