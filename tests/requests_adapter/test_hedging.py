"""Requests that are sent to a second backend because the first one takes so long."""

from __future__ import annotations

import pathlib

from lbtransport import LoadBalancer, RetryPolicy
from lbtransport.requests import exchange
from tests.conftest import ServerStarter
from tests.requests_adapter.conftest import Balance
from tests.requests_adapter.kit import orders_at, outcomes_of
from tests.servers import hang, reply

HEDGED = RetryPolicy(hedge_percentile=0.95, hedge_ratio=1.0)


def make_usual(orders: LoadBalancer) -> None:
    """Have a hundred requests take no time at all."""
    for _ in range(100):
        with orders.select() as selection:
            selection.responded()


def test_second_backend_answers_while_the_first_one_takes_its_time(
    balance: Balance, start_server: ServerStarter
) -> None:
    slow, fast = start_server(hang), start_server(reply(body=b"fast"))
    orders = orders_at(slow.url, fast.url, retry=HEDGED)
    make_usual(orders)
    client = balance(orders)

    response = client.get("http://orders/")

    assert response.content == b"fast"
    told = exchange(response)
    assert told is not None
    assert [one.backend.url for one in told.attempts] == [slow.url, fast.url]
    assert outcomes_of(orders)[1:] == (0, 0)


def test_post_is_sent_once(balance: Balance, start_server: ServerStarter) -> None:
    server, other = start_server(), start_server()
    orders = orders_at(server.url, other.url, retry=HEDGED)
    make_usual(orders)

    balance(orders).post("http://orders/", data=b"pay")

    assert (len(server.requests), len(other.requests)) == (1, 0)


def test_file_is_sent_once(
    balance: Balance, start_server: ServerStarter, tmp_path: pathlib.Path
) -> None:
    path = tmp_path / "upload"
    path.write_bytes(b"x" * 100_000)
    server, other = start_server(), start_server()
    orders = orders_at(server.url, other.url, retry=HEDGED)
    make_usual(orders)

    with path.open("rb") as file:
        balance(orders).put("http://orders/", data=file)

    assert [request.body for request in server.requests] == [b"x" * 100_000]
    assert other.requests == []
