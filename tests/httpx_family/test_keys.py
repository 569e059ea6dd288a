"""Keys that a rule finds in a request of httpx or httpx2."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lbtransport import Backend, options
from tests.config_kit import everything_said
from tests.httpx_family.kinds import Kind, done
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
from tests.servers import LoopbackServer


@each_case
async def test_same_key_goes_to_the_same_backend(
    kind: Kind, three_servers: list[LoopbackServer], case: Case
) -> None:
    service = orders_by(case.rule, three_servers)
    answers = []

    async with kind.connect(service) as client:
        for value in case.values:
            arguments, given = case.request_of(value)
            answers.append((await done(client.request(*arguments, **given))).text)

    assert answers == homes_of(case.values, three_servers)
    assert service.stats().unkeyed == 0


async def test_cookies_of_the_client_are_found(
    kind: Kind, three_servers: list[LoopbackServer]
) -> None:
    service = orders_by("cookie:session", three_servers)
    answers = []

    async with kind.connect(service) as client:
        for user in USERS:
            client.cookies.set("session", user)
            answers.append((await done(client.get(URL))).text)

    assert answers == homes_of(USERS, three_servers)


async def test_cookies_in_several_headers_are_found(
    kind: Kind, server: LoopbackServer
) -> None:
    service, keys = remembering("cookie:session", server.url)
    headers = [("Cookie", "session=17"), ("Cookie", "theme=dark")]

    async with kind.connect(service) as client:
        await done(client.get(URL, headers=headers))

    assert keys == ["17"]


@each_configuration
async def test_rule_comes_from_the_configuration(
    kind: Kind,
    three_servers: list[LoopbackServer],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    configure: Any,
) -> None:
    configure(three_servers, monkeypatch, tmp_path)
    answers = []

    async with kind.connect(None) as client:
        for user in USERS:
            response = await done(client.get(URL, headers={"X-User": user}))
            answers.append(response.text)

    assert answers == homes_of(USERS, three_servers)


async def test_retry_has_the_key_of_the_first_attempt(
    kind: Kind, server: LoopbackServer, refused_url: str
) -> None:
    asked: list[Any] = []

    def find(request: Any) -> str:
        asked.append(request)
        return f"user-{len(asked)}"

    service, keys = remembering(find, refused_url, server.url)

    async with kind.connect(service) as client:
        response = await done(client.get(URL))

    assert keys == ["user-1", "user-1"]
    assert asked == [response.request]


async def test_callers_own_key_wins_and_the_rule_is_not_asked(
    kind: Kind, server: LoopbackServer
) -> None:
    service, keys = remembering(pytest.fail, server.url)
    extension = {"lbtransport": {"key": "the request's"}}

    async with kind.connect(service) as client:
        with options(key="mine"):
            await done(client.get(URL))
            await done(client.get(URL, extensions=extension))

    assert keys == ["mine", "the request's"]


async def test_key_is_that_of_the_logical_request(
    kind: Kind, server: LoopbackServer
) -> None:
    backend = Backend(f"{server.url}/v1", headers={"X-User": "backend"})
    service, keys = remembering("header:X-User, path", backend)

    async with kind.connect(service) as client:
        await done(client.get(URL))

    assert keys == ["/items"]
    assert server.requests[0].target == "/v1/items"


@pytest.mark.parametrize("body", [b'{"user": "17"}', '{"user": "17"}'], ids=repr)
async def test_body_in_memory_is_looked_into(
    kind: Kind, server: LoopbackServer, body: Any
) -> None:
    service, keys = remembering("json:user", server.url)

    async with kind.connect(service) as client:
        await done(client.post(URL, content=body))

    assert keys == ["17"]


async def test_stream_is_left_alone_and_arrives_whole(
    kind: Kind, server: LoopbackServer
) -> None:
    service, keys = remembering("json:user", server.url)
    body = kind.body_of(b'{"user":', b' "17"}')

    async with kind.connect(service) as client:
        await done(client.post(URL, content=body))

    assert keys == [None]
    assert server.requests[0].body == b'{"user": "17"}'


async def test_form_with_a_file_is_left_alone_and_arrives_whole(
    kind: Kind, server: LoopbackServer
) -> None:
    service, keys = remembering("json:user", server.url)

    async with kind.connect(service) as client:
        await done(client.post(URL, files={"it": b'{"user": "17"}'}))

    assert keys == [None]
    assert b'{"user": "17"}' in server.requests[0].body


async def test_what_a_function_raises_leaves_before_anything_is_selected(
    kind: Kind, server: LoopbackServer
) -> None:
    error = KeyError("no user")

    def fail(request: object) -> str:
        raise error

    service, keys = remembering(fail, server.url)

    async with kind.connect(service) as client:
        with pytest.raises(KeyError) as raised:
            await done(client.get(URL))

    assert raised.value is error
    assert keys == []


async def test_key_that_cannot_be_hashed_is_an_error_of_the_client(
    kind: Kind, server: LoopbackServer
) -> None:
    service, keys = remembering(lambda request: ["17"], server.url)

    async with kind.connect(service) as client:
        with pytest.raises(kind.ours.ConfigurationError, match="hashed") as raised:
            await done(client.get(URL))

    assert isinstance(raised.value, kind.hx.ConnectError)
    assert keys == []


async def test_key_is_neither_logged_nor_shown(
    kind: Kind, refused_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    onlooker = Onlooker(refused_url, caplog)

    async with kind.connect(onlooker.service) as client:
        with pytest.raises(kind.hx.ConnectError) as raised:
            await done(client.get(URL, headers={"Authorization": SECRET}))

    assert SECRET not in onlooker.noted() + everything_said(raised.value)
