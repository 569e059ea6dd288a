"""What HTTP/1.1 can do besides requests and answers, passed on as it is."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest

from tests.conftest import ServerStarter
from tests.httpx_family.kinds import (
    KINDS,
    Kind,
    answering,
    done,
    orders_at,
    outcomes_of,
)
from tests.servers import LoopbackServer, Reply, Request, echo, in_turn, reply

URL = "http://orders/items"


@pytest.mark.parametrize(
    "interim",
    [
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n",
    ],
    ids=["100", "103"],
)
async def test_interim_answer_is_not_the_answer(
    kind: Kind, start_server: ServerStarter, interim: bytes
) -> None:
    final = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone"
    server = start_server(lambda _: [interim, final])
    orders = orders_at(server.url)

    async with kind.connect(orders) as client:
        headers = {"Expect": "100-continue"}
        response = await done(client.post(URL, content=b"body", headers=headers))

    (request,) = server.requests
    assert (response.status_code, response.text) == (200, "done")
    assert (request.body, request.headers["Expect"]) == (b"body", "100-continue")
    assert outcomes_of(orders) == (1, 0, 0)


async def test_trailers_after_a_body_leave_the_connection_in_order(
    kind: Kind, start_server: ServerStarter
) -> None:
    def trailing(_: Request) -> Reply:
        headers = [("Transfer-Encoding", "chunked"), ("Trailer", "Digest")]
        return Reply(200, headers, [b"4\r\ndone\r\n0\r\nDigest: abc\r\n\r\n"])

    server = start_server(trailing)
    orders = orders_at(server.url)

    async with kind.connect(orders) as client:
        texts = [(await done(client.get(URL))).text for _ in range(2)]

    assert (texts, server.connections) == (["done", "done"], 1)
    assert outcomes_of(orders) == (2, 0, 0)


async def test_bodies_in_chunks_stay_in_chunks_both_ways(
    kind: Kind, start_server: ServerStarter
) -> None:
    server = start_server(lambda request: Reply(body=[request.body, b"!"]))

    async with (
        kind.connect(orders_at(server.url)) as client,
        kind.stream(client, "POST", URL, content=kind.body_of(b"a", b"b")) as response,
    ):
        body = b"".join(await kind.all(kind.chunks(response)))

    assert body == b"ab!"
    assert server.requests[0].headers["Transfer-Encoding"] == "chunked"
    assert response.headers["Transfer-Encoding"] == "chunked"


async def test_head_has_the_length_of_a_body_that_does_not_come(
    kind: Kind, start_server: ServerStarter
) -> None:
    server = start_server(reply(body=b"12345"))

    async with kind.connect(orders_at(server.url)) as client:
        head = await done(client.head(URL))
        get = await done(client.get(URL))

    assert (head.headers["Content-Length"], head.content) == ("5", b"")
    assert (get.content, server.connections) == (b"12345", 1)


async def test_words_of_the_status_line_are_passed_on(
    kind: Kind, start_server: ServerStarter
) -> None:
    answer = [b"HTTP/1.0 299 Fine By Me\r\nContent-Length: 0\r\n\r\n"]
    server = start_server(lambda _: answer)

    async with kind.connect(orders_at(server.url)) as client:
        response = await done(client.get(URL))

    assert (response.http_version, response.reason_phrase) == ("HTTP/1.0", "Fine By Me")


async def test_history_and_what_comes_next_are_logical(
    kind: Kind, start_server: ServerStarter
) -> None:
    moved = reply(307, headers=[("Location", "/there")])
    server = start_server(in_turn(moved, moved, echo))
    orders = orders_at(server.url)

    async with kind.connect(orders) as client:
        stopped = await done(client.put(URL, content=b"body"))
        put = client.put(URL, content=b"body", follow_redirects=True)
        followed = await done(put)

    (first,) = followed.history
    assert str(stopped.next_request.url) == "http://orders/there"
    assert (str(first.url), str(followed.url)) == (URL, "http://orders/there")
    assert followed.text == "body"
    assert outcomes_of(orders) == (3, 0, 0)


@pytest.mark.parametrize("target", ["*", "/a/../b", "http://elsewhere/"])
async def test_target_of_the_callers_own_is_sent_as_it_is(
    kind: Kind, server: LoopbackServer, target: str
) -> None:
    # Even under a path prefix: who names a target means just that.
    async with kind.connect(orders_at(server.url + "/v1")) as client:
        extensions = {"target": target.encode()}
        await done(client.request("OPTIONS", URL, extensions=extensions))

    assert [request.target for request in server.requests] == [target]


async def test_extensions_that_nobody_knows_are_passed_on_both_ways(
    kind: Kind,
) -> None:
    seen: list[Any] = []

    def answer(request: Any) -> Any:
        seen.append(request.extensions["question"])
        return kind.hx.Response(200, extensions={"answer": 42})

    orders = orders_at("http://10.0.0.1", deadline=30)
    factory = answering(kind, answer)

    async with kind.connect(orders, transport_factory=factory) as client:
        response = await done(client.get(URL, extensions={"question": "6 x 7"}))

    assert (seen, response.extensions["answer"]) == (["6 x 7"], 42)


HTTPX2_KINDS = [kind for kind in KINDS if kind.hx is httpx2]


@pytest.mark.parametrize("kind", HTTPX2_KINDS, indirect=True, ids=str)
async def test_query_is_repeated_with_its_body(
    kind: Kind, start_server: ServerStarter, refused_url: str
) -> None:
    busy, good = start_server(reply(503)), start_server(echo)
    orders = orders_at(refused_url, busy.url, good.url)

    async with kind.connect(orders) as client:
        response = await done(client.query(URL, json={"all": True}))

    assert response.json() == {"all": True}
    assert good.requests[0].method == "QUERY"
    assert outcomes_of(orders) == (3, 2, 0)


async def test_refusal_in_the_middle_of_an_upload_is_the_answer(
    kind: Kind, start_server: ServerStarter
) -> None:
    first, second = start_server(on_headers=reply(413, b"too much")), start_server()
    orders = orders_at(first.url, second.url)
    pieces = [b"x" * 65536] * 64

    async with kind.connect(orders) as client:
        content = kind.body_of(*pieces)
        response = await done(client.put(URL, content=content))

    assert (response.status_code, response.text) == (413, "too much")
    assert second.requests == []
    assert outcomes_of(orders) == (1, 0, 0)
