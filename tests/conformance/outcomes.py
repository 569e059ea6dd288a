"""A pytest plugin: what became of each test, a line of JSON each, for `run`."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

_RESULTS = Path(os.environ["CONFORMANCE_RESULTS"])

_outcomes: dict[str, str] = {}


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Note how a test's setup, call or teardown ended; the worst one counts."""
    if not report.passed or report.nodeid not in _outcomes:
        _outcomes[report.nodeid] = report.outcome


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write all down, but not in a worker of xdist: its master has them all."""
    if not hasattr(session.config, "workerinput"):
        _RESULTS.write_text(json.dumps(_outcomes))
