"""A pytest plugin: who serves the requests of a suite, by the level that it runs at.

- unconfigured: there is no service, and all passes through,
- identity: each loopback name is a service with itself as its only backend,
- swapped: each has the other one, so a test sees it where a backend's name leaks.

Retries, health and all else are as by default.
How a client is led through us is said by `through_requests` and `through_httpx`.
"""

from __future__ import annotations

import functools
import os
from pathlib import Path

from lbtransport import LoadBalancer

_BACKENDS: dict[str, dict[str, str]] = {
    "unconfigured": {},
    "identity": {"127.0.0.1": "127.0.0.1", "localhost": "localhost"},
    "swapped": {"127.0.0.1": "localhost", "localhost": "127.0.0.1"},
}
_LEVEL = os.environ["CONFORMANCE_LEVEL"]
_TALLY = Path(os.environ["CONFORMANCE_TALLY"])

_balanced = 0


@functools.cache
def _balancer(scheme: str, host: str, port: int) -> LoadBalancer:
    return LoadBalancer(
        f"{host}:{port}",
        [f"{scheme}://{_BACKENDS[_LEVEL][host]}:{port}"],
        # By default a backend that has a name for DNS and TLS would be called by it.
        host="logical",
        tls_name="logical",
    )


def find(scheme: str, host: str, port: int) -> LoadBalancer | None:
    """Return the balancer of a loopback name; None for everything else."""
    global _balanced  # noqa: PLW0603 - one process, one number
    if host not in _BACKENDS[_LEVEL]:
        return None
    _balanced += 1
    return _balancer(scheme, host, port)


services = find if _BACKENDS[_LEVEL] else None


def pytest_sessionfinish() -> None:
    """Leave a line with the number of requests that were balanced in this process."""
    with _TALLY.open("a") as tally:
        tally.write(f"{_balanced}\n")
