"""What counts as a failure of a backend, over real servers."""

from __future__ import annotations

import pytest
import requests

from lbtransport import HealthPolicy
from tests.conftest import ServerStarter
from tests.requests_adapter.conftest import Balance
from tests.requests_adapter.kit import orders_at, outcomes_of
from tests.servers import reply


def is_overloaded(response: requests.Response) -> bool | None:
    return response.headers.get("X-Overloaded") == "yes" or None


@pytest.mark.parametrize(
    ("status", "statuses", "failures"),
    [(429, {429, 503}, 1), (500, {429, 503}, 0), (503, {429, 503}, 1)],
)
def test_statuses_that_are_failures_are_the_policys(
    start_server: ServerStarter,
    balance: Balance,
    status: int,
    statuses: set[int],
    failures: int,
) -> None:
    server = start_server(reply(status))
    orders = orders_at(server.url, health=HealthPolicy(failure_statuses=statuses))

    balance(orders).post("http://orders/")

    assert outcomes_of(orders) == (1, failures, 0)


@pytest.mark.parametrize(("header", "failures"), [("yes", 1), ("no", 0)])
def test_function_judges_the_clients_own_response(
    start_server: ServerStarter, balance: Balance, header: str, failures: int
) -> None:
    server = start_server(reply(headers=[("X-Overloaded", header)]))
    orders = orders_at(server.url, health=HealthPolicy(is_failure=is_overloaded))

    response = balance(orders).get("http://orders/")

    assert response.status_code == 200
    assert outcomes_of(orders) == (1, failures, 0)


def test_burst_of_422_ejects_nobody(
    start_server: ServerStarter, balance: Balance
) -> None:
    servers = [start_server(reply(422)) for _ in range(2)]
    orders = orders_at(*(server.url for server in servers))
    client = balance(orders)

    for _ in range(30):
        client.get("http://orders/")

    assert outcomes_of(orders) == (30, 0, 0)
    assert {one.state for one in orders.stats().backends} == {"closed"}
