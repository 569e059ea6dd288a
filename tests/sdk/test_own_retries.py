"""What comes of an SDK's own retries, beside ours or instead of them."""

from __future__ import annotations

import inspect

import anthropic
import elastic_transport
import groq
import openai
import pytest
import stripe

from lbtransport import RetryPolicy, options
from tests.conftest import ServerStarter
from tests.httpx_family.kinds import orders_at, outcomes_of
from tests.sdk import stub
from tests.sdk.on_httpx2 import connect_openai
from tests.sdk.on_requests import connect_elasticsearch, connect_stripe
from tests.servers import PATIENCE, LoopbackServer, close_without_answer, in_turn, reply


def busy(start_server: ServerStarter) -> list[LoopbackServer]:
    """Start three servers which send everybody away; openai's SDK does not wait."""
    headers = [("Retry-After", "0"), ("Retry-After-Ms", "1")]
    return [start_server(reply(503, headers=headers)) for _ in range(3)]


def sent_to(servers: list[LoopbackServer]) -> int:
    return sum(len(server.requests) for server in servers)


def test_sdks_repeat_as_often_as_their_pages_say() -> None:
    of_elasticsearch = inspect.signature(elastic_transport.Transport).parameters

    assert openai.DEFAULT_MAX_RETRIES == 2
    assert anthropic.DEFAULT_MAX_RETRIES == 2
    assert groq.DEFAULT_MAX_RETRIES == 2
    assert stripe.max_network_retries == 2
    assert of_elasticsearch["max_retries"].default == 3


def test_openai_sends_a_post_again_whose_server_died(
    start_server: ServerStarter,
) -> None:
    server = start_server(in_turn(close_without_answer, stub.answer))

    with connect_openai(orders_at(server.url), PATIENCE, max_retries=1) as calls:
        calls.post()

    # We would not do that.
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    ("own", "ours", "sent"), [(0, 3, 3), (1, 1, 2), (1, 3, 6), (2, 3, 9)]
)
def test_attempts_multiply(
    start_server: ServerStarter, own: int, ours: int, sent: int
) -> None:
    servers = busy(start_server)
    urls = [server.url for server in servers]
    orders = orders_at(*urls, retry=RetryPolicy(attempts=ours))

    with (
        connect_openai(orders, PATIENCE, max_retries=own) as calls,
        pytest.raises(openai.InternalServerError),
    ):
        calls.post()

    assert sent_to(servers) == sent
    assert outcomes_of(orders)[2] == 0


def test_stripes_posts_may_be_sent_twice_because_they_bear_the_same_key(
    start_server: ServerStarter,
) -> None:
    first, second = start_server(close_without_answer), start_server(stub.answer)

    with connect_stripe(orders_at(first.url, second.url), PATIENCE) as calls:
        calls.post()

    keys = [
        request.headers["Idempotency-Key"]
        for request in [*first.requests, *second.requests]
    ]
    assert len(keys) == 2
    assert len(set(keys)) == 1


def test_stripes_posts_are_sent_once_where_repeating_is_forbidden(
    start_server: ServerStarter,
) -> None:
    first, second = start_server(close_without_answer), start_server(stub.answer)

    with (
        connect_stripe(orders_at(first.url, second.url), PATIENCE) as calls,
        options(idempotent=False),
        pytest.raises(stripe.APIConnectionError),
    ):
        calls.post()

    assert (len(first.requests), len(second.requests)) == (1, 0)


def test_elasticsearch_sends_a_post_four_times_if_left_alone(
    start_server: ServerStarter,
) -> None:
    servers = [start_server(close_without_answer) for _ in range(2)]
    orders = orders_at(*[server.url for server in servers], retry=False)

    with (
        connect_elasticsearch(orders, PATIENCE, max_retries=3) as calls,
        pytest.raises(elastic_transport.ConnectionError),
    ):
        calls.post()

    assert sent_to(servers) == 4
