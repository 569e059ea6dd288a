"""Tokens: they are fetched through the balancer too, and renewed."""

from __future__ import annotations

import google.oauth2.credentials
import requests
from google.auth.transport.requests import AuthorizedSession, Request

from lbtransport import LoadBalancer
from lbtransport.requests import mount
from tests.conftest import ServerStarter
from tests.httpx_family.kinds import orders_at, outcomes_of
from tests.sdk import stub
from tests.servers import in_turn, reply


def authorized(token: str | None, *services: LoadBalancer) -> AuthorizedSession:
    """Make a session as the page does, whose tokens come from "tokens"."""
    credentials = google.oauth2.credentials.Credentials(
        token,
        refresh_token="again",
        token_uri="http://tokens/token",
        client_id="me",
        client_secret="secret",
    )
    for_tokens = requests.Session()
    mount(for_tokens, services)
    session = AuthorizedSession(credentials, auth_request=Request(for_tokens))
    mount(session, services)
    return session


def test_token_is_fetched_once_from_a_server_that_is_there(
    start_server: ServerStarter, refused_url: str
) -> None:
    issuer, server = start_server(stub.answer), start_server(stub.answer)
    tokens = orders_at(refused_url, issuer.url, name="tokens")
    orders = orders_at(server.url)

    with authorized(None, tokens, orders) as session:
        for _ in range(2):
            session.get("http://orders/v1/items", timeout=5)

    assert [request.method for request in issuer.requests] == ["POST"]
    assert [request.headers["Authorization"] for request in server.requests] == [
        "Bearer fresh"
    ] * 2
    assert (outcomes_of(tokens), outcomes_of(orders)) == ((2, 1, 0), (2, 0, 0))


def test_call_that_is_unauthorized_is_made_again_with_a_fresh_token(
    start_server: ServerStarter,
) -> None:
    server = start_server(in_turn(reply(401), stub.answer))
    tokens = orders_at(start_server(stub.answer).url, name="tokens")
    orders = orders_at(server.url)

    with authorized("stale", tokens, orders) as session:
        response = session.post("http://orders/v1/items", json={}, timeout=5)

    assert response.status_code == 200
    assert [request.headers["Authorization"] for request in server.requests] == [
        "Bearer stale",
        "Bearer fresh",
    ]
    assert outcomes_of(orders) == (2, 0, 0)
