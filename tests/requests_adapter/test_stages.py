"""Where an attempt stood when it failed, and whose fault it was."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from urllib3 import HTTPSConnectionPool
from urllib3.poolmanager import pool_classes_by_scheme

from lbtransport import RetryPolicy
from lbtransport._requests.pools import WatchedPool
from tests.certificates import Authority
from tests.conftest import ServerStarter
from tests.requests_adapter.conftest import Balance
from tests.requests_adapter.kit import DONE, InOrder, orders_at, outcomes_of
from tests.servers import (
    Handler,
    LoopbackServer,
    aging,
    close_without_answer,
    reset,
    reset_in_headers,
)

TIMEOUT = (0.2, 0.2)  # seconds, to connect and to wait; nothing here takes any


def test_post_whose_handshake_hangs_goes_elsewhere(
    balance: Balance,
    start_server: ServerStarter,
    server: LoopbackServer,
    authority: Authority,
    ca_file: Path,
) -> None:
    # A server that speaks no TLS waits for the end of what it takes for a header.
    silent = f"https://{server.authority}"
    whole = start_server(ssl_context=authority.server_context("orders"))
    service = orders_at(silent, whole.url, strategy=InOrder([silent, whole.url]))

    response = balance(service).post(
        "http://orders/", data=b"once", timeout=TIMEOUT, verify=str(ca_file)
    )

    assert response.status_code == 200
    assert [request.body for request in whole.requests] == [b"once"]


def test_handshake_that_hangs_is_a_timeout_of_connecting(
    balance: Balance, server: LoopbackServer
) -> None:
    client = balance(f"https://{server.authority}")

    with pytest.raises(requests.ConnectTimeout, match="handshake"):
        client.get("http://orders/", timeout=TIMEOUT)


CLOSED = pytest.mark.parametrize("later", [close_without_answer, reset])


@CLOSED
def test_connection_that_was_closed_under_its_second_request_blames_nobody(
    balance: Balance,
    start_server: ServerStarter,
    server: LoopbackServer,
    later: Handler,
) -> None:
    stale = start_server(aging(later))
    service = orders_at(stale.url, server.url)
    client = balance(service)

    bodies = [client.get("http://orders/").text for _ in range(4)]

    assert bodies == ["first", "", "first", ""]
    assert (len(stale.requests), stale.connections) == (4, 2)
    assert outcomes_of(service) == (6, 0, 0)


@CLOSED
def test_post_that_met_a_closing_connection_is_not_sent_twice(
    balance: Balance,
    start_server: ServerStarter,
    server: LoopbackServer,
    later: Handler,
) -> None:
    stale = start_server(aging(later))
    service = orders_at(stale.url, server.url)
    client = balance(service)
    client.get("http://orders/")

    with pytest.raises(requests.ConnectionError) as raised:
        client.post("http://orders/", data=b"pay")

    assert raised.type is requests.ConnectionError
    assert server.requests == []
    assert outcomes_of(service) == (2, 0, 0)


@CLOSED
def test_post_that_met_a_closing_connection_is_repeated_if_the_user_says_so(
    balance: Balance,
    start_server: ServerStarter,
    server: LoopbackServer,
    later: Handler,
) -> None:
    stale = start_server(aging(later))
    policy = RetryPolicy(repeat_stale=True)
    client = balance(orders_at(stale.url, server.url, retry=policy))
    client.get("http://orders/")

    client.post("http://orders/", data=b"note")

    assert [request.body for request in server.requests] == [b"note"]


def test_kept_connection_that_breaks_in_its_answer_is_the_backends_fault(
    balance: Balance, start_server: ServerStarter, server: LoopbackServer
) -> None:
    breaking = start_server(aging(reset_in_headers))
    service = orders_at(breaking.url, server.url, retry=RetryPolicy(repeat_stale=True))
    client = balance(service)
    client.get("http://orders/")

    with pytest.raises(requests.ConnectionError):
        client.post("http://orders/", data=b"pay")

    assert server.requests == []
    assert outcomes_of(service) == (2, 1, 0)


def test_connection_that_is_seen_closed_before_it_is_used_is_opened_anew(
    balance: Balance, server: LoopbackServer
) -> None:
    service = orders_at(server.url)
    client = balance(service)
    client.get("http://orders/")
    server.restart()

    response = client.post("http://orders/", data=b"pay")

    assert response.status_code == 200
    assert outcomes_of(service) == (2, 0, 0)


def test_fresh_connection_that_is_closed_is_the_backends_fault(
    balance: Balance, start_server: ServerStarter, server: LoopbackServer
) -> None:
    dying = start_server(close_without_answer)
    service = orders_at(dying.url, server.url)

    balance(service).get("http://orders/")

    assert outcomes_of(service) == (2, 1, 0)


def test_pool_that_was_closed_meanwhile_blames_nobody(
    balance: Balance, three_servers: list[LoopbackServer]
) -> None:
    service = orders_at(*[server.url for server in three_servers])
    client = balance(service)
    send = WatchedPool.urlopen

    def close_first(pool: WatchedPool, *args: Any, **kwargs: Any) -> Any:
        if pool.port == three_servers[0].port:
            pool.close()
        return send(pool, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(WatchedPool, "urlopen", close_first)
        text = client.post("http://orders/", data=b"pay").text

    assert text == "1"
    assert outcomes_of(service) == (2, 0, 0)
    service.remove_backend(three_servers[0].url)  # whose pool is closed already


def test_proxy_that_refuses_blames_no_backend(
    balance: Balance, refused_url: str
) -> None:
    service = orders_at("http://10.9.8.7", "http://10.9.8.8")
    client = balance(service, use_proxies=True)
    client.session.proxies = {"http": refused_url}
    request = client.session.prepare_request(requests.Request("GET", "http://orders/"))

    with pytest.raises(requests.exceptions.ProxyError) as raised:
        client.session.send(request)

    assert raised.value.request is request
    assert outcomes_of(service)[1:] == (0, 0)


def test_backend_without_room_gives_way_where_a_pool_would_block(
    balance: Balance, three_servers: list[LoopbackServer]
) -> None:
    urls = [server.url for server in three_servers]
    service = orders_at(*urls, max_in_flight=1)
    client = balance(service, pool_maxsize=1, pool_block=True)

    with client.get("http://orders/", stream=True) as first:
        second = client.get("http://orders/")

        assert (first.text, second.text) == ("0", "1")


def test_body_that_raises_blames_no_backend(
    balance: Balance, server: LoopbackServer
) -> None:
    service = orders_at(server.url)

    def fail() -> Iterator[bytes]:
        yield b"part"
        raise OSError("the disk is gone")

    with pytest.raises(requests.ConnectionError, match="the disk is gone"):
        balance(service).put("http://orders/", data=fail())

    assert outcomes_of(service) == DONE


def test_pool_classes_that_another_library_changed_for_all_are_not_ours(
    balance: Balance, server: LoopbackServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Theirs(HTTPSConnectionPool):
        """What elastic_transport sets, in the table that all managers share."""

    monkeypatch.setitem(pool_classes_by_scheme, "https", Theirs)
    client = balance(f"https://{server.authority}")

    with pytest.raises(requests.ConnectTimeout, match="handshake"):
        client.get("http://orders/", timeout=TIMEOUT)


def test_pool_classes_of_the_users_own_are_left_alone(
    balance: Balance, server: LoopbackServer
) -> None:
    client = balance(f"https://{server.authority}")

    class Own(HTTPSConnectionPool):
        """A pool of the user's own."""

    manager = client.adapter.poolmanager
    manager.pool_classes_by_scheme = {**manager.pool_classes_by_scheme, "https": Own}

    with pytest.raises(requests.ReadTimeout):
        client.get("http://orders/", timeout=TIMEOUT)
