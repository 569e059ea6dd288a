"""Backends that do worse than their peers: by their success rate, by their latency.

Pure functions of one snapshot, so that all rules see the same counts (ServiceTalk#3550:
the second of two detectors read what the first had reset, and was silently dead).
Who has too few requests is neither compared nor compared with: idle backends that
count as perfect would tighten the threshold (ServiceTalk#3551).

References:
    Envoy and gRFC A50, on the success rate: mean - deviations x stdev.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import NamedTuple

from lbtransport.health.policy import HealthPolicy
from lbtransport.health.window import Count, Peer


class Record(NamedTuple):
    """What one backend did."""

    peer: Peer
    counted: Count


def find_outliers(records: Sequence[Record], policy: HealthPolicy) -> dict[Peer, str]:
    """Return who does so much worse than the others that it is to be ejected, and why.

    The worst success rate comes first, then the highest latency.
    """
    enough = [
        record
        for record in records
        if record.counted.requests >= policy.comparison_min_requests
    ]
    if len(enough) < policy.comparison_min_backends:
        return {}
    found: dict[Peer, str] = {}
    if policy.success_rate_deviations:
        found |= _failing(enough, policy.success_rate_deviations)
    if policy.latency_factor:
        found |= _slow(enough, policy.latency_factor)
    return found


def _failing(records: Sequence[Record], deviations: float) -> dict[Peer, str]:
    rates = {peer: counted.successes / counted.requests for peer, counted in records}
    mean, deviation = (
        statistics.fmean(rates.values()),
        statistics.pstdev(rates.values()),
    )
    least = mean - deviations * deviation
    return {
        peer: f"{rates[peer]:.1%} succeed, of its peers at least {least:.1%}"
        for peer in sorted(rates, key=rates.__getitem__)
        if rates[peer] < least
    }


def _slow(records: Sequence[Record], factor: float) -> dict[Peer, str]:
    known = {peer: peer.latency for peer, _ in records if peer.latency is not None}
    if not known:
        return {}
    most = factor * statistics.median(known.values())
    return {
        peer: f"it takes {known[peer]:.3g} s, its peers at most {most:.3g} s"
        for peer in sorted(known, key=known.__getitem__, reverse=True)
        if known[peer] > most
    }
