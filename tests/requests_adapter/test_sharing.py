"""One adapter for several sessions, prefixes and threads."""

from __future__ import annotations

import collections
import threading
from collections.abc import Iterator

import pytest
import requests

from lbtransport import LoadBalancer
from lbtransport._clock import SystemClock
from lbtransport.requests import LoadBalancingAdapter, mount
from tests.requests_adapter.kit import in_threads, orders_at, outcomes_of
from tests.servers import LoopbackServer, Reply, Request

THREADS = 32
EACH = 12  # requests of each thread


@pytest.fixture
def service(three_servers: list[LoopbackServer]) -> LoadBalancer:
    urls = [server.url for server in three_servers]
    return orders_at(*urls, strategy="round_robin", clock=SystemClock())


@pytest.fixture
def adapter(service: LoadBalancer) -> Iterator[LoadBalancingAdapter]:
    adapter = LoadBalancingAdapter(service, pool_maxsize=THREADS)
    yield adapter
    adapter.close()
    assert outcomes_of(service)[2] == 0


def _session(adapter: LoadBalancingAdapter) -> requests.Session:
    session = requests.Session()
    for prefix in ("http://", "https://"):
        session.mount(prefix, adapter)
    return session


def test_two_sessions_of_one_adapter_share_connections_and_no_cookies(
    adapter: LoadBalancingAdapter, three_servers: list[LoopbackServer]
) -> None:
    cookie = ("Set-Cookie", "session=first")
    for server in three_servers:
        server.handler = lambda _: Reply(headers=[cookie])
    first, second = _session(adapter), _session(adapter)

    for _ in range(3):
        first.get("http://orders/")
    for server in three_servers:
        server.handler = lambda _: Reply()
    for _ in range(3):
        second.get("http://orders/")

    assert [server.connections for server in three_servers] == [1, 1, 1]
    for server in three_servers:
        assert "Cookie" not in server.requests[1].headers


def test_closing_one_session_leaves_the_other_at_work(
    adapter: LoadBalancingAdapter, three_servers: list[LoopbackServer]
) -> None:
    first, second = _session(adapter), _session(adapter)
    response = second.get("http://orders/", stream=True)
    text = response.text

    for _ in range(2):
        first.close()

    for server in three_servers:
        server.wait_until(lambda server: server.open_connections == 0)
    assert text in {"0", "1", "2"}
    assert second.get("http://orders/").status_code == 200


def test_an_adapter_that_is_mounted_twice_is_one(
    adapter: LoadBalancingAdapter, three_servers: list[LoopbackServer]
) -> None:
    session = requests.Session()
    session.mount("http://", adapter)
    session.mount("http://orders/", adapter)

    mounted = mount(session, orders_at(three_servers[0].url, name="users"))
    texts = [session.get(f"http://{name}/").text for name in ("users", "orders")]

    assert mounted is adapter
    assert session.get_adapter("http://orders/") is session.get_adapter("https://x/")
    assert texts[0] == "0"
    assert sum(server.connections for server in three_servers) <= 2


def _mirror(request: Request) -> Reply:
    """Answer with what tells this request from all others."""
    return Reply(body=request.target.encode() + b" " + request.body)


def test_threads_with_a_session_each_get_their_own_answers(
    adapter: LoadBalancingAdapter,
    service: LoadBalancer,
    three_servers: list[LoopbackServer],
) -> None:
    for server in three_servers:
        server.handler = _mirror

    def work(number: int) -> None:
        session = _session(adapter)
        for turn in range(EACH):
            response = session.post(f"http://orders/{number}", data=f"{turn}")
            assert response.text == f"/{number} {turn}"

    in_threads(THREADS, work)

    assert outcomes_of(service) == (THREADS * EACH, 0, 0)
    counts = [len(server.requests) for server in three_servers]
    assert counts == [THREADS * EACH // 3] * 3


def test_threads_are_served_while_backends_come_and_go_and_sessions_close(
    adapter: LoadBalancingAdapter,
    service: LoadBalancer,
    three_servers: list[LoopbackServer],
) -> None:
    stays, *others = [server.url for server in three_servers]
    working = threading.Semaphore(0)
    statuses: collections.Counter[int] = collections.Counter()
    lock = threading.Lock()

    def disturb() -> None:
        for _ in range(EACH):
            for wanted in ([stays], [stays, *others]):
                service.update_backends(wanted)
            adapter.close()
            for _ in range(THREADS - 1):
                working.acquire()

    def work(number: int) -> None:
        if number == 0:
            return disturb()
        session = _session(adapter)
        for turn in range(EACH):
            stream = turn % 2 == 0
            response = session.post("http://orders/", data=b"pay", stream=stream)
            with lock:
                statuses[response.status_code] += 1
            response.close()
            working.release()
        return None

    in_threads(THREADS, work)

    assert statuses == {200: (THREADS - 1) * EACH}
    adapter.close()
    for server in three_servers:
        server.wait_until(lambda server: server.open_connections == 0)
