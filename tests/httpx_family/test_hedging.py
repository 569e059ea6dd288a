"""Requests that are sent to a second backend because the first one takes so long."""

from __future__ import annotations

from lbtransport import LoadBalancer, RetryPolicy
from tests.conftest import ServerStarter
from tests.httpx_family.kinds import Kind, done, in_flight, orders_at, outcomes_of
from tests.servers import hang, reply

HEDGED = RetryPolicy(hedge_percentile=0.95, hedge_ratio=1.0)


def make_usual(orders: LoadBalancer) -> None:
    """Have a hundred requests take no time at all."""
    for _ in range(100):
        with orders.select() as selection:
            selection.responded()


async def test_second_backend_answers_while_the_first_one_takes_its_time(
    kind: Kind, start_server: ServerStarter
) -> None:
    slow, fast = start_server(hang), start_server(reply(body=b"fast"))
    orders = orders_at(slow.url, fast.url, retry=HEDGED)
    make_usual(orders)

    async with kind.connect(orders) as client:
        responses = [await done(client.get("http://orders/")) for _ in range(3)]

    assert {response.content for response in responses} == {b"fast"}
    told = responses[0].extensions["lbtransport"]
    assert [one.backend.url for one in told.attempts] == [slow.url, fast.url]
    assert outcomes_of(orders)[1] == 0
    assert in_flight(orders) == 0


async def test_streamed_winner_is_read_to_its_end(
    kind: Kind, start_server: ServerStarter
) -> None:
    body = b"0123456789" * 50_000
    slow, fast = start_server(hang), start_server(reply(body=body))
    orders = orders_at(slow.url, fast.url, retry=HEDGED)
    make_usual(orders)

    async with (
        kind.connect(orders) as client,
        kind.stream(client, "GET", "http://orders/") as response,
    ):
        read = b"".join(await kind.all(kind.chunks(response)))

    assert read == body
    assert in_flight(orders) == 0


async def test_post_is_sent_once(kind: Kind, start_server: ServerStarter) -> None:
    server, other = start_server(), start_server()
    orders = orders_at(server.url, other.url, retry=HEDGED)
    make_usual(orders)

    async with kind.connect(orders) as client:
        await done(client.post("http://orders/", content=b"pay"))

    assert (len(server.requests), len(other.requests)) == (1, 0)
