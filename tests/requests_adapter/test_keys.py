"""Keys that a rule finds in a request of requests."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

import lbtransport.requests
from lbtransport import Backend, options
from lbtransport.requests import mount
from tests.config_kit import everything_said
from tests.key_kit import (
    SECRET,
    URL,
    USERS,
    Case,
    Onlooker,
    each_case,
    each_configuration,
    homes_of,
    orders_by,
    remembering,
)
from tests.requests_adapter.conftest import Balance
from tests.servers import LoopbackServer


@each_case
def test_same_key_goes_to_the_same_backend(
    balance: Balance, three_servers: list[LoopbackServer], case: Case
) -> None:
    service = orders_by(case.rule, three_servers)
    client = balance(service)
    answers = []

    for value in case.values:
        arguments, given = case.request_of(value)
        answers.append(client.session.request(*arguments, **given).text)

    assert answers == homes_of(case.values, three_servers)
    assert service.stats().unkeyed == 0


def test_cookies_of_the_session_are_found(
    balance: Balance, three_servers: list[LoopbackServer]
) -> None:
    client = balance(orders_by("cookie:session", three_servers))
    answers = []

    for user in USERS:
        client.session.cookies.set("session", user)
        answers.append(client.get(URL).text)

    assert answers == homes_of(USERS, three_servers)


@each_configuration
def test_rule_comes_from_the_configuration(
    three_servers: list[LoopbackServer],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    configure: Any,
) -> None:
    configure(three_servers, monkeypatch, tmp_path)

    with requests.Session() as session:
        mount(session)
        answers = [session.get(URL, headers={"X-User": user}).text for user in USERS]

    assert answers == homes_of(USERS, three_servers)


def test_retry_has_the_key_of_the_first_attempt(
    balance: Balance, server: LoopbackServer, refused_url: str
) -> None:
    asked: list[Any] = []

    def find(request: requests.PreparedRequest) -> str:
        asked.append(request)
        return f"user-{len(asked)}"

    service, keys = remembering(find, refused_url, server.url)

    response = balance(service).get(URL)

    assert keys == ["user-1", "user-1"]
    assert asked == [response.request]


def test_callers_own_key_wins_and_the_rule_is_not_asked(
    balance: Balance, server: LoopbackServer
) -> None:
    service, keys = remembering(pytest.fail, server.url)

    with options(key="mine"):
        balance(service).get(URL)

    assert keys == ["mine"]


def test_key_is_that_of_the_logical_request(
    balance: Balance, server: LoopbackServer
) -> None:
    backend = Backend(f"{server.url}/v1", headers={"X-User": "backend"})
    service, keys = remembering("header:X-User, path", backend)

    balance(service).get(URL)

    assert keys == ["/items"]
    assert server.requests[0].target == "/v1/items"


def test_header_may_be_bytes(balance: Balance, server: LoopbackServer) -> None:
    service, keys = remembering("header:X-User", server.url)

    balance(service).get(URL, headers={"X-User": b"17"})

    assert keys == ["17"]


@pytest.mark.parametrize(
    "body",
    [b'{"user": "17"}', '{"user": "17"}', bytearray(b'{"user": "17"}')],
    ids=repr,
)
def test_body_in_memory_is_looked_into(
    balance: Balance, server: LoopbackServer, body: Any
) -> None:
    service, keys = remembering("json:user", server.url)

    balance(service).post(URL, data=body)

    assert keys == ["17"]


def _generated() -> Iterator[bytes]:
    yield b'{"user":'
    yield b' "17"}'


@pytest.mark.parametrize(
    "make_body", [lambda: io.BytesIO(b'{"user": "17"}'), _generated]
)
def test_stream_is_left_alone_and_arrives_whole(
    balance: Balance, server: LoopbackServer, make_body: Any
) -> None:
    service, keys = remembering("json:user", server.url)

    balance(service).post(URL, data=make_body())

    assert keys == [None]
    assert server.requests[0].body == b'{"user": "17"}'


def test_what_a_function_raises_leaves_before_anything_is_selected(
    balance: Balance, server: LoopbackServer
) -> None:
    error = KeyError("no user")

    def fail(request: object) -> str:
        raise error

    service, keys = remembering(fail, server.url)

    with pytest.raises(KeyError) as raised:
        balance(service).get(URL)

    assert raised.value is error
    assert keys == []


def test_key_that_cannot_be_hashed_is_an_error_of_the_client(
    balance: Balance, server: LoopbackServer
) -> None:
    service, keys = remembering(lambda request: ["17"], server.url)

    with pytest.raises(lbtransport.requests.ConfigurationError, match="hashed"):
        balance(service).get(URL)

    assert keys == []


def test_key_is_neither_logged_nor_shown(
    balance: Balance, refused_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    onlooker = Onlooker(refused_url, caplog)

    with pytest.raises(requests.ConnectionError) as raised:
        balance(onlooker.service).get(URL, headers={"Authorization": SECRET})

    assert SECRET not in onlooker.noted() + everything_said(raised.value)
