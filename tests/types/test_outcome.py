"""Every fault and every status has its three verdicts."""

from __future__ import annotations

import pytest

from lbtransport import Outcome
from lbtransport._types import Fault, Repeat, Verdict
from lbtransport._types.outcome import FAULTS


@pytest.mark.parametrize("fault", Fault)
def test_every_fault_has_an_outcome_that_names_it(fault: Fault) -> None:
    outcome = FAULTS[fault]

    assert (outcome.fault, outcome.reason) == (fault, fault.value)
    assert not outcome.sample


@pytest.mark.parametrize(
    ("fault", "health", "repeat"),
    [
        (Fault.CONNECT, Verdict.FAILURE, Repeat.ANY),
        (Fault.CONNECT_TIMEOUT, Verdict.FAILURE, Repeat.ANY),
        (Fault.TLS, Verdict.FAILURE, Repeat.ANY),
        (Fault.CERTIFICATE, Verdict.FAILURE, Repeat.ANY),
        (Fault.RESPONSE_TIMEOUT, Verdict.FAILURE, Repeat.IDEMPOTENT),
        (Fault.DISCONNECT, Verdict.FAILURE, Repeat.IDEMPOTENT),
        (Fault.STALE, Verdict.NEUTRAL, Repeat.IDEMPOTENT),
        (Fault.WRITE, Verdict.FAILURE, Repeat.IDEMPOTENT),
        (Fault.MALFORMED, Verdict.FAILURE, Repeat.IDEMPOTENT),
        (Fault.BODY, Verdict.FAILURE, Repeat.NEVER),
        (Fault.POOL, Verdict.NEUTRAL, Repeat.ANY),
        (Fault.UNPROCESSED, Verdict.FAILURE, Repeat.ANY),
        (Fault.GOING_AWAY, Verdict.NEUTRAL, Repeat.IDEMPOTENT),
        (Fault.PROXY, Verdict.NEUTRAL, Repeat.IDEMPOTENT),
        (Fault.LOCAL, Verdict.NEUTRAL, Repeat.NEVER),
        (Fault.DECODING, Verdict.NEUTRAL, Repeat.NEVER),
    ],
)
def test_fault_blames_and_allows_repeating_independently(
    fault: Fault, health: Verdict, repeat: Repeat
) -> None:
    assert (FAULTS[fault].health, FAULTS[fault].repeat) == (health, repeat)


def test_only_what_cannot_be_connected_to_is_hard_evidence() -> None:
    hard = {fault for fault, outcome in FAULTS.items() if outcome.hard}

    assert hard == {Fault.CONNECT, Fault.CONNECT_TIMEOUT}


def test_wrong_certificates_and_refusals_may_be_everybodys_fault() -> None:
    shared = {fault for fault, outcome in FAULTS.items() if outcome.shared}

    assert shared == {Fault.CERTIFICATE, Fault.UNPROCESSED}


@pytest.mark.parametrize("fault", Fault)
def test_unsent_is_what_failed_and_may_always_be_repeated(fault: Fault) -> None:
    unsent = {
        Fault.CONNECT,
        Fault.CONNECT_TIMEOUT,
        Fault.TLS,
        Fault.CERTIFICATE,
        Fault.UNPROCESSED,
    }

    assert FAULTS[fault].is_unsent is (fault in unsent)


def test_callers_own_outcomes() -> None:
    failure, neutral = Outcome.failure("too slow"), Outcome.neutral()

    assert (failure.health, failure.reason) == (Verdict.FAILURE, "too slow")
    assert failure.repeat is Repeat.IDEMPOTENT
    assert (neutral.health, neutral.repeat) == (Verdict.NEUTRAL, Repeat.NEVER)
    assert not neutral.sample
