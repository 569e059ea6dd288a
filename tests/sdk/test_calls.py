"""Ordinary calls of every SDK: where they go, what is sent twice, what is raised."""

from __future__ import annotations

import pytest

from lbtransport import NoBackendsAvailable, options
from tests.conftest import ServerStarter
from tests.httpx_family.kinds import done, orders_at, outcomes_of
from tests.requests_adapter.kit import KeyIsUrl
from tests.sdk import stub
from tests.sdk.kit import Sdk
from tests.sdk.sdks import SDKS
from tests.servers import close_without_answer, hang

TOO_SHORT = 0.1  # seconds, for an answer that never comes


async def test_calls_spread_over_the_servers_under_the_logical_name(
    sdk: Sdk, start_server: ServerStarter
) -> None:
    servers = [start_server(stub.answer) for _ in range(3)]
    orders = orders_at(*[server.url for server in servers], strategy="round_robin")

    async with sdk.open(orders) as calls:
        for _ in range(6):
            await done(calls.post())

    received = [request for server in servers for request in server.requests]
    assert [len(server.requests) for server in servers] == [2, 2, 2]
    assert {request.method for request in received} == {"POST"}
    # elasticsearch is alone in that its URLs have a port.
    hosts = {request.headers["Host"].removesuffix(":9200") for request in received}
    assert hosts == {"orders"}
    assert outcomes_of(orders) == (6, 0, 0)


async def test_post_to_a_server_that_refuses_is_processed_once_elsewhere(
    sdk: Sdk, refused_url: str, start_server: ServerStarter
) -> None:
    server = start_server(stub.answer)
    orders = orders_at(refused_url, server.url)

    async with sdk.open(orders) as calls:
        answer = await done(calls.post())

    assert answer is not None
    assert len(server.requests) == 1
    assert outcomes_of(orders) == (2, 1, 0)


@pytest.mark.parametrize(
    "sdk", [s for s in SDKS if not s.declares_posts_idempotent], indirect=True, ids=str
)
async def test_post_whose_server_died_after_reading_it_is_not_sent_again(
    sdk: Sdk, start_server: ServerStarter
) -> None:
    first, second = start_server(close_without_answer), start_server(stub.answer)
    orders = orders_at(first.url, second.url)

    async with sdk.open(orders) as calls:
        with pytest.raises(sdk.errors.cut_off):
            await done(calls.post())

    assert (len(first.requests), len(second.requests)) == (1, 0)
    assert outcomes_of(orders) == (1, 1, 0)


async def test_no_backend_at_all_is_the_sdks_own_connection_error(sdk: Sdk) -> None:
    async with sdk.open(orders_at()) as calls:
        with pytest.raises(sdk.errors.unreachable) as caught:
            await done(calls.post())

    assert any(isinstance(error, NoBackendsAvailable) for error in _chain(caught.value))


async def test_timeout_is_the_sdks_own_and_a_post_is_not_sent_again(
    sdk: Sdk, start_server: ServerStarter
) -> None:
    server = start_server(hang)
    # One server under two names: whichever was asked, it was asked once.
    orders = orders_at(server.url, server.url.replace("127.0.0.1", "localhost"))
    sent = 2 if sdk.declares_posts_idempotent else 1

    async with sdk.open(orders, timeout=TOO_SHORT) as calls:
        with pytest.raises(sdk.errors.timed_out):
            await done(calls.post())

    server.wait_until(lambda server: len(server.requests) >= sent)
    assert len(server.requests) == sent
    assert outcomes_of(orders)[2] == 0


async def test_deadline_of_the_options_reaches_through_the_sdk(
    sdk: Sdk, start_server: ServerStarter
) -> None:
    orders = orders_at(start_server(hang).url)

    async with sdk.open(orders) as calls:
        with options(deadline=TOO_SHORT), pytest.raises(sdk.errors.timed_out):
            await done(calls.post())

    assert outcomes_of(orders)[2] == 0


async def test_key_of_the_options_reaches_through_the_sdk(
    sdk: Sdk, start_server: ServerStarter
) -> None:
    servers = [start_server(stub.answer) for _ in range(3)]
    orders = orders_at(*[server.url for server in servers], strategy=KeyIsUrl())

    async with sdk.open(orders) as calls:
        for server in (servers[2], servers[1], servers[2]):
            with options(key=server.url):
                await done(calls.post())

    assert [len(server.requests) for server in servers] == [0, 1, 2]


def _chain(error: BaseException | None) -> list[BaseException]:
    """Return an error and what it was raised in the place of."""
    return [] if error is None else [error, *_chain(error.__context__)]
