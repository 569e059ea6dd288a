"""What is sent again, where to, and what the caller gets in the end."""

from __future__ import annotations

import pytest
import requests
import tenacity
from urllib3.util import Retry

import lbtransport
from lbtransport import NoBackendsAvailable, RetryPolicy, options
from lbtransport import requests as adapters
from tests.conftest import ServerStarter
from tests.requests_adapter.conftest import Balance
from tests.requests_adapter.kit import orders_at, outcomes_of
from tests.servers import (
    LATER,
    Fate,
    Handler,
    LoopbackServer,
    Reply,
    close_without_answer,
    garbage,
    reply,
    reset,
)


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_refused_connection_goes_elsewhere_whatever_the_method(
    balance: Balance, refused_url: str, server: LoopbackServer, method: str
) -> None:
    client = balance(refused_url, server.url)

    response = client.session.request(method, "http://orders/", data=b"body")

    assert response.status_code == 200
    assert [request.body for request in server.requests] == [b"body"]


@pytest.mark.parametrize("handler", [close_without_answer, reset, garbage])
def test_a_post_that_was_sent_is_not_sent_twice(
    balance: Balance,
    start_server: ServerStarter,
    server: LoopbackServer,
    handler: Handler,
) -> None:
    dying = start_server(handler)
    client = balance(dying.url, server.url)

    with pytest.raises(requests.ConnectionError):
        client.post("http://orders/", data=b"pay")

    assert (len(dying.requests), len(server.requests)) == (1, 0)


@pytest.mark.parametrize("handler", [close_without_answer, reset, garbage])
def test_a_get_that_died_goes_elsewhere(
    balance: Balance,
    start_server: ServerStarter,
    server: LoopbackServer,
    handler: Handler,
) -> None:
    dying = start_server(handler)
    client = balance(dying.url, server.url)

    response = client.get("http://orders/")

    assert response.status_code == 200
    assert (len(dying.requests), len(server.requests)) == (1, 1)


@pytest.mark.parametrize("name", ["Idempotency-Key", "idempotency-key"])
def test_an_idempotency_key_makes_a_post_repeatable(
    balance: Balance, start_server: ServerStarter, server: LoopbackServer, name: str
) -> None:
    dying = start_server(close_without_answer)
    client = balance(dying.url, server.url)

    response = client.post("http://orders/", data=b"pay", headers={name: "17"})

    assert response.status_code == 200
    assert [request.body for request in server.requests] == [b"pay"]


def test_an_option_overrules_the_idempotency_key(
    balance: Balance, start_server: ServerStarter, server: LoopbackServer
) -> None:
    dying = start_server(close_without_answer)
    client = balance(dying.url, server.url)

    with options(idempotent=False), pytest.raises(requests.ConnectionError):
        client.post("http://orders/", headers={"Idempotency-Key": "17"})

    assert server.requests == []


@pytest.mark.parametrize("status", [502, 503, 504])
def test_a_get_that_a_backend_turned_down_goes_elsewhere(
    balance: Balance, start_server: ServerStarter, server: LoopbackServer, status: int
) -> None:
    tired = start_server(reply(status, b"tired"))
    client = balance(tired.url, server.url)

    assert client.get("http://orders/").status_code == 200


def test_a_post_goes_elsewhere_if_it_is_asked_to_come_back_later(
    balance: Balance, start_server: ServerStarter, server: LoopbackServer
) -> None:
    busy = start_server(reply(503, headers=[("Retry-After", "3")]))
    client = balance(busy.url, server.url)

    assert client.post("http://orders/", data=b"pay").status_code == 200


@pytest.mark.parametrize("how", LATER)
def test_a_backend_that_says_when_it_is_back_is_left_alone_until_then(
    balance: Balance, start_server: ServerStarter, server: LoopbackServer, how: str
) -> None:
    busy = start_server(reply(429, headers=LATER[how]))
    service = orders_at(busy.url, server.url)
    client = balance(service)

    answers = [client.get("http://orders/").status_code for _ in range(3)]

    assert answers == [200, 200, 200]
    assert (len(busy.requests), len(server.requests)) == (1, 3)
    throttled, _ = service.stats().backends
    assert (throttled.state, throttled.failures) == ("throttled", 0)
    assert throttled.returns_in == pytest.approx(20.0)


def test_the_last_answer_is_the_callers_when_all_were_tried(
    balance: Balance, start_server: ServerStarter
) -> None:
    tired = [start_server(reply(503, b"tired %d" % n)) for n in range(3)]
    service = orders_at(*[server.url for server in tired])
    client = balance(service)

    response = client.get("http://orders/")

    assert (response.status_code, response.text) == (503, "tired 2")
    assert [len(server.requests) for server in tired] == [1, 1, 1]
    assert outcomes_of(service) == (3, 3, 0)


def test_a_discarded_answer_keeps_its_connection(
    balance: Balance, start_server: ServerStarter, server: LoopbackServer
) -> None:
    tired = start_server(reply(503, b"tired"))
    client = balance(tired.url, server.url)

    for _ in range(3):
        client.get("http://orders/")

    assert (len(tired.requests), tired.connections) == (3, 1)


@pytest.mark.parametrize(
    "body",
    [pytest.param(b"x" * 100_000, id="long"), pytest.param([Fate.HANG], id="endless")],
)
def test_a_discarded_answer_that_is_not_short_is_closed(
    balance: Balance,
    start_server: ServerStarter,
    server: LoopbackServer,
    body: bytes | list[Fate],
) -> None:
    tired = start_server(lambda _: Reply(503, body=body))
    client = balance(tired.url, server.url)

    client.get("http://orders/")

    tired.wait_until(lambda server: server.open_connections == 0)


def test_a_discarded_answer_that_stalls_does_not_hold_up_the_next_attempt(
    balance: Balance, start_server: ServerStarter, server: LoopbackServer
) -> None:
    stalled = [b"HTTP/1.1 503 No\r\nContent-Length: 10\r\n\r\nfour", Fate.HANG]
    tired = start_server(lambda _: stalled)
    client = balance(tired.url, server.url)

    assert client.get("http://orders/").status_code == 200
    tired.wait_until(lambda server: server.open_connections == 0)


def test_the_last_error_is_the_callers_and_names_his_own_request(
    balance: Balance, refused_url: str
) -> None:
    client = balance(refused_url)
    request = client.session.prepare_request(requests.Request("GET", "http://orders/"))

    with (
        options(retry=RetryPolicy(attempts=2, min_wait=0, max_wait=0)),
        pytest.raises(requests.ConnectionError) as raised,
    ):
        client.session.send(request)

    assert type(raised.value) is requests.ConnectionError
    assert raised.value.request is request
    assert "Host" not in request.headers


def test_a_tenacity_object_of_the_users_raises_no_error_of_its_own(
    balance: Balance, refused_url: str
) -> None:
    retrying = tenacity.Retrying(stop=tenacity.stop_after_attempt(2))
    service = orders_at(refused_url, retry=retrying)
    client = balance(service)

    with pytest.raises(requests.ConnectionError):
        client.get("http://orders/")

    assert outcomes_of(service) == (2, 2, 0)


def test_no_backend_at_all_is_an_error_of_both_kinds(balance: Balance) -> None:
    client = balance(orders_at())
    request = client.session.prepare_request(requests.Request("GET", "http://orders/"))

    with pytest.raises(requests.ConnectionError, match="orders") as raised:
        client.session.send(request)

    assert raised.value.request is request
    assert raised.type is adapters.NoBackendsAvailable
    assert issubclass(raised.type, NoBackendsAvailable)


def test_a_mistake_is_an_error_of_both_kinds(
    balance: Balance, server: LoopbackServer
) -> None:
    service = orders_at(server.url)
    client = balance(service)

    with pytest.raises(requests.ConnectionError, match="allow_plaintext") as raised:
        client.get("https://orders/")

    assert raised.type is adapters.ConfigurationError
    assert issubclass(raised.type, lbtransport.ConfigurationError)
    assert outcomes_of(service) == (1, 0, 0)


def test_without_retries_the_first_error_is_the_last(
    balance: Balance, refused_url: str, server: LoopbackServer
) -> None:
    client = balance(refused_url, server.url)

    with options(retry=False), pytest.raises(requests.ConnectionError):
        client.get("http://orders/")

    assert server.requests == []


def test_urllib3_never_repeats_on_the_same_backend(
    balance: Balance, start_server: ServerStarter, server: LoopbackServer
) -> None:
    dying = start_server(close_without_answer)
    client = balance(dying.url, server.url, max_retries=5)

    client.get("http://orders/")

    assert len(dying.requests) == 1


@pytest.mark.parametrize("max_retries", [2, Retry(2)])
def test_urllib3_repeats_what_passes_through_and_we_say_so(
    balance: Balance,
    start_server: ServerStarter,
    caplog: pytest.LogCaptureFixture,
    max_retries: Retry | int,
) -> None:
    dying = start_server(close_without_answer)
    client = balance(orders_at(), max_retries=max_retries)

    with pytest.raises(requests.ConnectionError):
        client.get(dying.url)

    assert dying.connections == 3
    (record,) = (one for one in caplog.records if one.name == "lbtransport.retry")
    assert (record.levelname, record.args) == ("WARNING", (max_retries,))


def test_a_key_reaches_the_strategy(
    balance: Balance, three_servers: list[LoopbackServer]
) -> None:
    from tests.requests_adapter.kit import KeyIsUrl

    urls = [server.url for server in three_servers]
    client = balance(orders_at(*urls, strategy=KeyIsUrl()))

    with options(key=urls[2]):
        response = client.get("http://orders/")

    assert response.text == "2"
