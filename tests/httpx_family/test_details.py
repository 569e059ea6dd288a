"""What the caller is told of the attempts that were made for him."""

from __future__ import annotations

import traceback

import pytest

from lbtransport import Exchange, NoBackendsAvailable, Stage
from tests.conftest import ServerStarter
from tests.httpx_family.kinds import Kind, done, orders_at
from tests.servers import (
    Answer,
    LoopbackServer,
    Reply,
    Request,
    close_without_answer,
    reply,
    truncated_body,
)


async def test_response_tells_which_backends_were_tried(
    kind: Kind, refused_url: str, start_server: ServerStarter
) -> None:
    busy, good = start_server(reply(503)), start_server()

    async with kind.connect(orders_at(refused_url, busy.url, good.url)) as client:
        response = await done(client.get("http://orders/"))

    told: Exchange = response.extensions["lbtransport"]
    assert told.service == "orders"
    assert [(one.backend.url, one.stage) for one in told.attempts] == [
        (refused_url, Stage.NOT_CONNECTED),
        (busy.url, Stage.ANSWERED),
        (good.url, Stage.ANSWERED),
    ]


async def test_what_passed_through_has_nothing_to_tell(
    kind: Kind, server: LoopbackServer
) -> None:
    async with kind.connect(orders_at(server.url)) as client:
        response = await done(client.get(server.url))

    assert "lbtransport" not in response.extensions


@pytest.mark.parametrize("deadline", [None, 60.0])
async def test_error_in_a_body_tells_which_backends_were_tried(
    kind: Kind, refused_url: str, start_server: ServerStarter, deadline: float | None
) -> None:
    breaking = start_server(truncated_body)
    orders = orders_at(refused_url, breaking.url, deadline=deadline)

    async with kind.connect(orders) as client:
        with pytest.raises(kind.hx.RemoteProtocolError) as caught:
            await done(client.get("http://orders/?token=hush"))

    attempts = caught.value.attempts
    assert [one.stage for one in attempts] == [Stage.NOT_CONNECTED, Stage.ANSWERED]
    last = traceback.format_exception(caught.value)[-1]
    assert last.startswith(f"2 attempts for 'orders': {refused_url} (connect, ")
    assert "hush" not in last


async def test_error_and_its_traceback_tell_which_backends_were_tried(
    kind: Kind, refused_url: str, start_server: ServerStarter
) -> None:
    dying = start_server(close_without_answer)

    async with kind.connect(orders_at(refused_url, dying.url)) as client:
        with pytest.raises(kind.hx.RemoteProtocolError) as caught:
            await done(client.post("http://orders/?token=hush"))

    attempts = caught.value.attempts
    assert [one.stage for one in attempts] == [Stage.NOT_CONNECTED, Stage.SENT]
    last = traceback.format_exception(caught.value)[-1]
    assert last.startswith(f"2 attempts for 'orders': {refused_url} (connect, ")
    assert "hush" not in last


async def test_nobody_left_tells_it_as_an_error_of_the_client(
    kind: Kind, start_server: ServerStarter
) -> None:
    orders = orders_at()

    def vanish(request: Request) -> Answer:
        orders.remove_backend(server.url)
        return Reply(503)

    server = start_server(vanish)
    orders.add_backend(server.url)

    async with kind.connect(orders) as client:
        with pytest.raises(NoBackendsAvailable) as caught:
            await done(client.get("http://orders/"))

    assert isinstance(caught.value, kind.hx.ConnectError)
    (attempt,) = caught.value.attempts
    assert attempt.outcome.status == 503
