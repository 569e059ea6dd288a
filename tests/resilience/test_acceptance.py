"""One of eight real servers falls ill under load, and callers hardly notice.

Shorter than it should be: `tests/benchmarks/resilience.py` does it in full length.
"""

from __future__ import annotations

import httpx
import pytest

from lbtransport import HealthPolicy, LoadBalancer, events
from lbtransport.checks import TcpCheck
from lbtransport.httpx import LoadBalancingTransport
from tests.certificates import Authority
from tests.conftest import ServerStarter
from tests.httpx_family.kinds import NO_AUTHORITIES
from tests.resilience.kit import (
    ILLNESSES,
    SEEN_BY_CALLERS,
    fall_ill,
    flap,
    restart_all,
)

RATE = 100.0
FAIR = 1 / 8

each_client = pytest.mark.parametrize(
    ("client", "strategy"), [("requests", "round_robin"), ("httpx", "adaptive")]
)


@each_client
@pytest.mark.parametrize("illness", ILLNESSES)
def test_server_that_falls_ill_is_left_alone_and_callers_see_little_of_it(
    client: str, strategy: str, illness: str
) -> None:
    report = fall_ill(
        client, strategy, illness, rate=RATE, before=0.3, until=1.0, seconds=1.0
    )

    if illness in SEEN_BY_CALLERS:
        assert report.errors_until_ejection <= 10
    else:
        assert report.errors == []
    if illness != "20 times slower" or strategy == "adaptive":
        assert report.share < FAIR / 2


@each_client
def test_server_that_comes_and_goes_harms_nobody(client: str, strategy: str) -> None:
    report = flap(client, strategy, rate=RATE, times=4, pause=0.2)

    assert report.errors == []
    cap = HealthPolicy().max_ejection_time
    assert all(event.seconds <= cap for _, event in report.ejections)


@each_client
@pytest.mark.parametrize(
    "checks", [None, TcpCheck(interval=0.05, timeout=1, fall=1, rise=1)]
)
def test_rolling_restart_of_all_servers_harms_nobody(
    client: str, strategy: str, checks: TcpCheck | None
) -> None:
    report = restart_all(client, strategy, rate=RATE, pause=0.1, checks=checks)

    assert report.errors == []
    assert report.asked > 100


def test_certificates_that_are_all_wrong_eject_nobody(
    start_server: ServerStarter, authority: Authority
) -> None:
    servers = [
        start_server(ssl_context=authority.server_context("orders")) for _ in range(8)
    ]
    orders = LoadBalancer("orders", [server.url for server in servers])
    heard: list[events.Event] = []
    orders.subscribe(heard.append)
    transport = LoadBalancingTransport(orders, verify=NO_AUTHORITIES)

    with httpx.Client(transport=transport) as client:
        for _ in range(40):
            with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
                client.get("https://orders/")

    assert not any(isinstance(event, events.BackendEjected) for event in heard)
    reports = [e for e in heard if isinstance(e, events.CertificatesRefused)]
    assert len(reports) == 1
    assert {one.state for one in orders.stats().backends} == {"closed"}
    assert sum(one.failures for one in orders.stats().backends) >= 40
