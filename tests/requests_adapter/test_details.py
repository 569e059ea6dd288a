"""What the caller is told of the attempts that were made for him."""

from __future__ import annotations

import copy
import pickle
import traceback

import pytest
import requests

from lbtransport import Backend, Stage
from lbtransport.requests import exchange
from tests.conftest import ServerStarter
from tests.requests_adapter.conftest import Balance
from tests.requests_adapter.kit import orders_at
from tests.servers import (
    Answer,
    Handler,
    LoopbackServer,
    Reply,
    Request,
    close_without_answer,
    reply,
    truncated_body,
    truncated_chunk,
)


def test_response_tells_which_backends_were_tried(
    balance: Balance, refused_url: str, start_server: ServerStarter
) -> None:
    busy, good = start_server(reply(503)), start_server()
    client = balance(refused_url, busy.url, good.url)

    told = exchange(client.get("http://orders/"))

    assert told is not None
    assert told.service == "orders"
    assert [(one.backend.url, one.stage) for one in told.attempts] == [
        (refused_url, Stage.NOT_CONNECTED),
        (busy.url, Stage.ANSWERED),
        (good.url, Stage.ANSWERED),
    ]


def test_it_survives_pickling_and_copying(
    balance: Balance, server: LoopbackServer
) -> None:
    secret = Backend(server.url.replace("://", "://user:hush@"))
    response = balance(secret).get("http://orders/")

    pickled = pickle.dumps(response)

    assert b"hush" not in pickled
    assert exchange(pickle.loads(pickled)) == exchange(response)
    assert exchange(copy.copy(response)) == exchange(response)


def test_what_passed_through_has_nothing_to_tell(
    balance: Balance, server: LoopbackServer
) -> None:
    assert exchange(balance(server.url).get(server.url)) is None


def test_error_and_its_traceback_tell_which_backends_were_tried(
    balance: Balance, refused_url: str, start_server: ServerStarter
) -> None:
    dying = start_server(close_without_answer)

    with pytest.raises(requests.ConnectionError) as caught:
        balance(refused_url, dying.url).post("http://orders/?token=hush")

    attempts = caught.value.attempts  # type: ignore[attr-defined]  # ours alone
    assert [one.stage for one in attempts] == [Stage.NOT_CONNECTED, Stage.SENT]
    last = traceback.format_exception(caught.value)[-1]
    assert last.startswith(f"2 attempts for 'orders': {refused_url} (connect, ")
    assert "hush" not in last


@pytest.mark.parametrize("handler", [truncated_body, truncated_chunk])
def test_traceback_of_an_error_in_a_body_tells_which_backends_were_tried(
    balance: Balance, refused_url: str, start_server: ServerStarter, handler: Handler
) -> None:
    breaking = start_server(handler)

    with pytest.raises(requests.exceptions.ChunkedEncodingError) as caught:
        balance(refused_url, breaking.url).get("http://orders/?token=hush")

    # What requests raises knows only the error of urllib3.
    attempts = caught.value.args[0].attempts
    assert [one.stage for one in attempts] == [Stage.NOT_CONNECTED, Stage.ANSWERED]
    told = "".join(traceback.format_exception(caught.value))
    (note,) = caught.value.args[0].__notes__
    assert note.startswith(f"2 attempts for 'orders': {refused_url} (connect, ")
    assert note in told
    assert "hush" not in note


def test_nobody_left_tells_it_as_an_error_of_requests(
    balance: Balance, start_server: ServerStarter
) -> None:
    orders = orders_at()

    def vanish(request: Request) -> Answer:
        orders.remove_backend(server.url)
        return Reply(503)

    server = start_server(vanish)
    orders.add_backend(server.url)

    with pytest.raises(requests.ConnectionError) as caught:
        balance(orders).get("http://orders/")

    (attempt,) = caught.value.attempts  # type: ignore[attr-defined]  # ours alone
    assert attempt.outcome.status == 503
