"""The life of an adapter and its connections, and of the process around it."""

from __future__ import annotations

import gc
import importlib
import os
import subprocess
import sys
import weakref

import pytest
import requests

from lbtransport.requests import mount
from tests.conftest import ServerStarter
from tests.requests_adapter.conftest import Balance
from tests.requests_adapter.kit import (
    Recorder,
    orders_at,
    outcomes_of,
)
from tests.servers import LoopbackServer, reply

# Connections of removed backends


def test_connections_of_a_removed_backend_are_closed(
    balance: Balance, server: LoopbackServer
) -> None:
    service = orders_at(server.url)
    client = balance(service)
    client.get("http://orders/")

    service.remove_backend(server.url)

    server.wait_until(lambda server: server.open_connections == 0)


def test_a_body_of_a_removed_backend_is_read_to_its_end(
    balance: Balance, start_server: ServerStarter
) -> None:
    server = start_server(reply(body=b"x" * 1_000_000))
    service = orders_at(server.url)
    client = balance(service)
    response = client.get("http://orders/", stream=True)

    service.remove_backend(server.url)

    assert len(response.content) == 1_000_000
    del response
    server.wait_until(lambda server: server.open_connections == 0)


def test_a_drained_backend_ends_what_it_has_and_loses_its_connections(
    balance: Balance, start_server: ServerStarter
) -> None:
    server = start_server(reply(body=b"x" * 1_000_000))
    other = start_server()
    service = orders_at(server.url, other.url)
    client = balance(service)
    response = client.get("http://orders/", stream=True)

    service.drain(server.url)
    client.get("http://orders/")
    was_drained = service.wait_drained(server.url, timeout=0)
    body = response.content

    assert (was_drained, len(body)) == (False, 1_000_000)
    server.wait_until(lambda server: server.open_connections == 0)
    assert service.wait_drained(server.url, timeout=0)
    service.drain(server.url, draining=False)
    client.get("http://orders/")
    assert [len(one.requests) for one in (server, other)] == [2, 1]


def test_a_backend_that_returns_is_connected_to_again(
    balance: Balance, server: LoopbackServer
) -> None:
    service = orders_at(server.url)
    client = balance(service)
    for _ in range(2):
        client.get("http://orders/")
        service.remove_backend(server.url)
        service.add_backend(server.url)

    assert server.connections == 2


def test_new_attributes_of_a_backend_count_from_the_next_request(
    balance: Balance, server: LoopbackServer
) -> None:
    from lbtransport import Backend

    service = orders_at(server.url)
    client = balance(service)
    client.get("http://orders/")

    service.add_backend(Backend(server.url, host="other.example"))
    client.get("http://orders/")

    hosts = [request.headers["Host"] for request in server.requests]
    assert hosts == ["orders", "other.example"]
    assert server.connections == 1


def test_a_balancer_keeps_no_adapter_alive(server: LoopbackServer) -> None:
    service = orders_at(server.url)
    adapters = []

    def come_and_go() -> None:
        with requests.Session() as session:
            adapters.append(weakref.ref(mount(session, service)))
            session.get("http://orders/")

    for _ in range(3):
        come_and_go()
    gc.collect()

    service.remove_backend(server.url)

    assert [adapter() for adapter in adapters] == [None, None, None]


def test_no_more_names_are_remembered_than_there_can_be_of_use(
    balance: Balance, server: LoopbackServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lbtransport._requests.routes._MOST_TARGETS", 2)
    client = balance(server.url)

    for port in range(8000, 8005):
        client.get(f"http://orders:{port}/")

    hosts = [request.headers["Host"] for request in server.requests]
    assert hosts == [f"orders:{port}" for port in range(8000, 8005)]
    assert server.connections == 1


# Closing


def test_closing_closes_connections_and_no_balancer(
    balance: Balance, start_server: ServerStarter
) -> None:
    backend, stranger = start_server(), start_server()
    service = orders_at(backend.url)
    passed = Recorder()
    client = balance(service, passthrough={"https://": passed})
    client.get("http://orders/")
    client.get(stranger.url)

    client.session.close()
    client.adapter.close()

    for server in (backend, stranger):
        server.wait_until(lambda server: server.open_connections == 0)
    assert passed.closed == 3
    assert client.get("http://orders/").status_code == 200
    assert outcomes_of(service) == (2, 0, 0)


# Fork

FORKED = """
import os, sys, requests
from lbtransport import LoadBalancer
from lbtransport.requests import LoadBalancingAdapter

backend, stranger = sys.argv[1:]
session = requests.Session()
session.mount("http://", LoadBalancingAdapter(LoadBalancer("orders", [backend])))

def send(who):
    for url in ("http://orders/", stranger):
        session.get(f"{url}?{who}")

send("parent")
child = os.fork()
if child:
    assert os.waitpid(child, 0)[1] == 0
    send("parent")
else:
    send("child")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_the_child_of_a_fork_has_connections_of_its_own(
    start_server: ServerStarter,
) -> None:
    servers = [start_server(), start_server()]

    subprocess.run(
        [sys.executable, "-c", FORKED, *[server.url for server in servers]],
        check=True,
    )

    for server in servers:
        assert [
            (request.target.partition("?")[2], request.connection)
            for request in server.requests
        ] == [("parent", 1), ("child", 2), ("parent", 1)]


CHALLENGED = """
import os, sys, requests
from lbtransport import LoadBalancer
from lbtransport.requests import LoadBalancingAdapter

backend, stranger = sys.argv[1:]
session = requests.Session()
session.trust_env = False  # or a variable may ask for other connections
session.mount("http://", LoadBalancingAdapter(LoadBalancer("orders", [backend])))
plain, challenge = session.get(stranger), session.get("http://orders/")
if child := os.fork():
    assert os.waitpid(child, 0)[1] == 0
    session.get(stranger), session.get("http://orders/")
else:
    for response in (plain, challenge):
        challenge.connection.send(response.request)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_the_child_of_a_fork_answers_a_challenge_on_a_connection_of_its_own(
    start_server: ServerStarter,
) -> None:
    servers = [start_server(reply(401)), start_server()]

    subprocess.run(
        [sys.executable, "-c", CHALLENGED, *[server.url for server in servers]],
        check=True,
    )

    for server in servers:
        assert [request.connection for request in server.requests] == [1, 2, 1]


# Without requests


def test_without_requests_the_import_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "requests", None)
    monkeypatch.delitem(sys.modules, "lbtransport.requests")

    with pytest.raises(ImportError, match=r"pip install 'lbtransport\[requests\]'"):
        importlib.import_module("lbtransport.requests")
