"""Challenges: who asked gets the answer, and everything else goes on as always."""

from __future__ import annotations

import copy
import hashlib
import pickle
import threading
from collections.abc import Callable
from typing import Any

import pytest
import requests
from requests.auth import AuthBase, HTTPDigestAuth
from requests.utils import parse_dict_header

from lbtransport.requests import LoadBalancingAdapter
from tests.conftest import ServerStarter
from tests.requests_adapter.conftest import Balance
from tests.requests_adapter.kit import in_threads, orders_at, outcomes_of
from tests.servers import LoopbackServer, Reply, Request, close_without_answer

USER, PASSWORD = "user", "password"
StartGuards = Callable[[int], list[LoopbackServer]]


def _md5(*parts: str) -> str:
    return hashlib.md5(":".join(parts).encode(), usedforsecurity=False).hexdigest()


class DigestGuard:
    """Lets in who answers this guard's own nonce; checks the whole answer."""

    def __init__(self, nonce: str, welcome: Callable[[Request], Reply]) -> None:
        self._nonce = nonce
        self._welcome = welcome

    def __call__(self, request: Request) -> Reply:
        if self._is_known(request):
            return self._welcome(request)
        challenge = f'Digest realm="orders", nonce="{self._nonce}", qop="auth"'
        return Reply(401, [("WWW-Authenticate", challenge)], b"who are you?")

    def _is_known(self, request: Request) -> bool:
        given = request.headers.get("Authorization")
        if given is None:
            return False
        told: dict[str, str]
        told = parse_dict_header(given.removeprefix("Digest "))  # type: ignore[no-untyped-call]  # the stub's
        secret = _md5(USER, "orders", PASSWORD)
        subject = _md5(request.method, request.target)
        expected = _md5(
            secret, self._nonce, told["nc"], told["cnonce"], "auth", subject
        )
        return (told["nonce"], told["uri"], told["response"]) == (
            self._nonce,
            request.target,
            expected,
        )


def _welcome(request: Request) -> Reply:
    return Reply(body=request.body)


@pytest.fixture
def guards(start_server: ServerStarter) -> list[LoopbackServer]:
    """Start three servers, each with a nonce of its own."""
    return [start_server(DigestGuard(f"nonce-{n}", _welcome)) for n in range(3)]


def _urls(servers: list[LoopbackServer]) -> list[str]:
    return [server.url for server in servers]


def _counts(servers: list[LoopbackServer]) -> list[int]:
    return [len(server.requests) for server in servers]


# Digest


def test_digest_works_over_backends_with_a_nonce_each(
    balance: Balance, guards: list[LoopbackServer]
) -> None:
    service = orders_at(*_urls(guards), strategy="round_robin")
    client = balance(service)
    client.session.auth = HTTPDigestAuth(USER, PASSWORD)

    statuses = [client.get(f"http://orders/{n}?a=b").status_code for n in range(9)]

    assert statuses == [200] * 9
    assert all(count >= 2 for count in _counts(guards))
    assert outcomes_of(service)[1:] == (0, 0)


def test_body_is_sent_again_to_who_asked(
    balance: Balance, guards: list[LoopbackServer]
) -> None:
    client = balance(orders_at(*_urls(guards), strategy="round_robin"))

    response = client.post(
        "http://orders/", data=b"pay", auth=HTTPDigestAuth(USER, PASSWORD)
    )

    assert response.content == b"pay"
    assert [one.status_code for one in response.history] == [401]
    assert sorted(_counts(guards)) == [0, 0, 2]


def test_digest_follows_redirects_to_other_backends(
    balance: Balance, start_server: ServerStarter
) -> None:
    def welcome(request: Request) -> Reply:
        if request.target == "/here":
            return Reply(302, [("Location", "/there")])
        return Reply(body=b"there")

    guards = [start_server(DigestGuard(f"nonce-{n}", welcome)) for n in range(3)]
    client = balance(orders_at(*_urls(guards), strategy="round_robin"))

    response = client.get("http://orders/here", auth=HTTPDigestAuth(USER, PASSWORD))

    assert (response.text, response.url) == ("there", "http://orders/there")
    targets = [[request.target for request in one.requests] for one in guards]
    assert sorted(targets) == [[], ["/here", "/here"], ["/there", "/there"]]


def test_digest_works_after_a_failover(
    balance: Balance, refused_url: str, guards: list[LoopbackServer]
) -> None:
    client = balance(refused_url, guards[0].url)

    response = client.get("http://orders/", auth=HTTPDigestAuth(USER, PASSWORD))

    assert response.status_code == 200
    assert len(guards[0].requests) == 2


def _answered_after(
    balance: Balance, guards: list[LoopbackServer], event: Callable[[Any], None]
) -> tuple[requests.Response, requests.Response]:
    """Let something happen between challenge and answer; return that and the next."""
    service = orders_at(*_urls(guards))
    client = balance(service)

    class Late(HTTPDigestAuth):
        def handle_401(self, r: requests.Response, **kwargs: Any) -> Any:
            if not r.request.headers.get("Authorization"):
                event(service)
            return super().handle_401(r, **kwargs)  # type: ignore[no-untyped-call]  # the stub's

    client.session.auth = Late(USER, PASSWORD)
    return client.get("http://orders/"), client.get("http://orders/")


@pytest.mark.parametrize("event", ["died", "ejected", "removed", "drained"])
def test_who_asked_and_is_gone_gives_way_to_the_usual_selection(
    balance: Balance, guards: list[LoopbackServer], event: str
) -> None:
    first = guards[0]
    happen = {
        "died": lambda _: first.kill(),
        "ejected": lambda service: service.mark_healthy(first.url, False),
        "removed": lambda service: service.remove_backend(first.url),
        "drained": lambda service: service.drain(first.url),
    }

    answer, following = _answered_after(balance, guards, happen[event])

    # The answer was meant for another, who can only ask in turn.
    assert (answer.status_code, following.status_code) == (401, 200)
    assert _counts(guards) == [1, 3, 0]


# Longer handshakes


class ThreeSteps(AuthBase):
    """A handshake of three requests, each over `response.connection`, as NTLM's."""

    def __call__(self, r: requests.PreparedRequest) -> requests.PreparedRequest:
        r.register_hook("response", self._shake)  # type: ignore[no-untyped-call]  # the stub's
        return r

    def _shake(self, r: requests.Response, **kwargs: Any) -> requests.Response:
        for step in ("hello", "proof"):
            if r.status_code not in {401, 407}:
                break
            _ = r.content
            request = r.request.copy()
            request.headers["Authorization"] = step
            r = r.connection.send(request, **kwargs)
        return r


class ConnectionGuard:
    """Lets in who took all steps, on one connection."""

    def __init__(self, status: int) -> None:
        self._status = status
        self._greeted: set[int] = set()
        self._lock = threading.Lock()

    def __call__(self, request: Request) -> Reply:
        step = request.headers.get("Authorization")
        with self._lock:
            if step == "hello":
                self._greeted.add(request.connection)
            elif step == "proof" and request.connection in self._greeted:
                return Reply(body=b"welcome")
        return Reply(self._status, body=b"go on")


@pytest.mark.parametrize("status", [401, 407])
def test_handshake_of_several_requests_stays_on_one_connection(
    balance: Balance, start_server: ServerStarter, status: int
) -> None:
    servers = [start_server(ConnectionGuard(status)) for _ in range(3)]
    client = balance(orders_at(*_urls(servers), strategy="random"))

    bodies = [client.get("http://orders/", auth=ThreeSteps()).text for _ in range(9)]

    assert bodies == ["welcome"] * 9
    assert all(count > 0 and count % 3 == 0 for count in _counts(servers))
    assert [server.connections for server in servers] == [1, 1, 1]


# What `response.connection` is


def _challenged(
    balance: Balance, guards: list[LoopbackServer]
) -> tuple[LoadBalancingAdapter, requests.Response]:
    client = balance(orders_at(*_urls(guards), strategy="round_robin"))
    return client.adapter, client.get("http://orders/")


def test_only_a_challenge_has_a_connection_of_its_own(
    balance: Balance, guards: list[LoopbackServer]
) -> None:
    adapter, challenge = _challenged(balance, guards)
    guards[0].handler = guards[1].handler = guards[2].handler = _welcome
    again: Any = challenge.connection

    welcome = again.send(challenge.request)
    welcome.close()

    assert isinstance(again, LoadBalancingAdapter)
    assert again is not adapter
    assert welcome.connection is adapter


def test_connection_of_a_challenge_is_the_adapter_in_all_else(
    balance: Balance, guards: list[LoopbackServer], server: LoopbackServer
) -> None:
    adapter, challenge = _challenged(balance, guards)
    again: Any = challenge.connection

    assert again.poolmanager is adapter.poolmanager
    assert again.max_retries is adapter.max_retries
    stranger = requests.Request("GET", server.url).prepare()
    assert again.send(stranger).content == b""


def test_closing_the_connection_of_a_challenge_closes_the_adapters(
    balance: Balance, guards: list[LoopbackServer], server: LoopbackServer
) -> None:
    adapter, challenge = _challenged(balance, guards)
    adapter.send(requests.Request("GET", server.url).prepare()).close()

    challenge.connection.close()

    for guard in (*guards, server):
        guard.wait_until(lambda guard: guard.open_connections == 0)


def test_a_subclass_hears_of_the_answer_to_a_challenge(
    guards: list[LoopbackServer],
) -> None:
    class Counting(LoadBalancingAdapter):
        sent = 0

        def send(self, *args: Any, **kwargs: Any) -> requests.Response:
            Counting.sent += 1
            return super().send(*args, **kwargs)

    with requests.Session() as session:
        session.mount("http://", Counting(orders_at(*_urls(guards))))
        session.get("http://orders/", auth=HTTPDigestAuth(USER, PASSWORD))

    assert Counting.sent == 2


def test_a_challenge_can_be_copied_and_pickled(
    balance: Balance, guards: list[LoopbackServer]
) -> None:
    _, challenge = _challenged(balance, guards)

    for twin in (copy.deepcopy(challenge), pickle.loads(pickle.dumps(challenge))):
        assert (twin.status_code, twin.text) == (401, "who are you?")


def test_the_preference_is_for_the_first_attempt_alone(
    balance: Balance, guards: list[LoopbackServer]
) -> None:
    service = orders_at(*_urls(guards), strategy="round_robin")
    client = balance(service)
    challenge = client.get("http://orders/")
    asked = next(guard for guard in guards if guard.requests)
    asked.handler = close_without_answer

    request = challenge.request
    again: Any = challenge.connection
    assert again.send(request).content == b"who are you?"

    assert sorted(_counts(guards)) == [0, 1, 2]
    assert len(asked.requests) == 2


def test_threads_answer_each_their_own_challenge(
    balance: Balance, guards: list[LoopbackServer]
) -> None:
    client = balance(orders_at(*_urls(guards), strategy="round_robin"))
    auth = HTTPDigestAuth(USER, PASSWORD)
    statuses: list[int] = []

    def work(_: int) -> None:
        for _ in range(5):
            response = client.get("http://orders/", auth=auth)
            statuses.append(response.status_code)

    in_threads(8, work)

    assert statuses == [200] * 40
