"""The public names, written down once more, so that none changes unnoticed.

A test of this file that fails is a question to whoever made it fail:

- A name is new? Add it here and to the reference, and to CHANGELOG.md under "Added".
- A name is gone, or called otherwise? Then programs break that use it: that takes a new
  major version, and a while in which the old name works and warns.  Put it back, or
  say so in CHANGELOG.md under "Removed".
- It was never meant for others? Give it a leading underscore.
"""

from __future__ import annotations

import importlib
import pkgutil

import pytest

import lbtransport

TRANSPORTS = """
    AsyncLoadBalancingTransport ConfigurationError LoadBalancingTransport
    NoBackendsAvailable
"""
PUBLIC = {
    "lbtransport": """
        Attempt Backend BackendStats ConfigurationError CustomCheck Exchange Fault
        HealthPolicy HttpCheck LoadBalancer LoadBalancingError NoBackendsAvailable
        Outcome Pace Repeat RetryPolicy Selection ServiceStats Stage TcpCheck Verdict
        options
    """,
    "lbtransport.checks": "CustomCheck HttpCheck Pace TcpCheck",
    "lbtransport.cli": "main",
    "lbtransport.config": "ServiceConfig",
    "lbtransport.events": """
        AttemptHedged AttemptRetried BackendAdded BackendDraining BackendEjected
        BackendFailing BackendMarked BackendOnTrial BackendRecovered BackendRemoved
        BackendReturned BackendThrottled CertificatesRefused Event PanicEntered
        PanicLeft RetryBudgetExhausted
    """,
    "lbtransport.health": "HealthPolicy",
    "lbtransport.httpx": TRANSPORTS,
    "lbtransport.httpx2": TRANSPORTS,
    "lbtransport.load_balancer": "LoadBalancer",
    "lbtransport.requests": """
        ConfigurationError LoadBalancingAdapter NoBackendsAvailable exchange mount
    """,
    "lbtransport.retry": """
        IDEMPOTENT_METHODS Retry RetryPolicy Standing stop_before_deadline wait_untried
    """,
    "lbtransport.strategies": "STRATEGIES Candidates Member Strategy make_strategy",
    "lbtransport.testing": """
        Absent Clock Deterministic Exponential Fail Hang Hyperexponential Kill
        Lognormal ManualClock Pareto Result Scenario Server Slow SystemClock WarmUp
        Window YARDSTICKS check_strategy disabled simulate
    """,
}
HINT = "see the head of tests/packaging/test_public_names.py"


def test_public_modules_are_these() -> None:
    modules = [
        f"lbtransport.{module.name}"
        for module in pkgutil.iter_modules(lbtransport.__path__)
        if not module.name.startswith("_")
    ]

    assert sorted(["lbtransport", *modules]) == sorted(PUBLIC), HINT


@pytest.mark.parametrize("module", PUBLIC)
def test_public_names_of_a_module_are_these(module: str) -> None:
    names = importlib.import_module(module).__all__

    assert sorted(names) == sorted(PUBLIC[module].split()), HINT


@pytest.mark.parametrize("module", PUBLIC)
def test_each_public_name_is_there(module: str) -> None:
    imported = importlib.import_module(module)

    assert [name for name in imported.__all__ if not hasattr(imported, name)] == []
