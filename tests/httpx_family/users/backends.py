"""A user's tests of what happens behind http://orders: they mock the backends.

`test_mocks` runs them, in a pytest of their own.
"""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
import respx
from pytest_httpx import HTTPXMock

from lbtransport import LoadBalancer
from lbtransport.httpx import AsyncLoadBalancingTransport, LoadBalancingTransport

URL = "http://orders/items"
BACKENDS = ["http://10.0.0.1:8080", "http://10.0.0.2:8080"]
MOCKED = [f"{backend}/items" for backend in BACKENDS]


@pytest.fixture
def orders() -> LoadBalancer:
    return LoadBalancer("orders", BACKENDS, strategy="round_robin")


@pytest.fixture
def client(orders: LoadBalancer) -> Iterator[httpx.Client]:
    with httpx.Client(transport=LoadBalancingTransport(orders)) as client:
        yield client


def test_pytest_httpx_sees_each_attempt(
    client: httpx.Client, httpx_mock: HTTPXMock
) -> None:
    for url in MOCKED:
        httpx_mock.add_response(url=url, status_code=503, is_reusable=True)

    response = client.get(URL)

    assert (response.status_code, str(response.url)) == (503, URL)
    requests = httpx_mock.get_requests()
    assert {str(request.url) for request in requests} == set(MOCKED)
    assert {request.headers["host"] for request in requests} == {"orders"}


def test_pytest_httpx_failure_goes_elsewhere(
    client: httpx.Client, orders: LoadBalancer, httpx_mock: HTTPXMock
) -> None:
    httpx_mock.add_exception(
        httpx.ConnectError("refused"), url=MOCKED[0], is_reusable=True
    )
    httpx_mock.add_response(url=MOCKED[1], text="there", is_reusable=True)

    texts = [client.post(URL).text for _ in range(2)]

    assert texts == ["there", "there"]
    first, second = orders.stats().backends
    assert (first.failures, first.in_flight) == (first.total, 0)
    assert (second.failures, second.total, second.in_flight) == (0, 2, 0)


@pytest.mark.anyio
async def test_pytest_httpx_async(orders: LoadBalancer, httpx_mock: HTTPXMock) -> None:
    httpx_mock.add_exception(
        httpx.ConnectError("refused"), url=MOCKED[0], is_reusable=True
    )
    httpx_mock.add_response(url=MOCKED[1], text="there", is_reusable=True)

    transport = AsyncLoadBalancingTransport(orders)
    async with httpx.AsyncClient(transport=transport) as client:
        texts = [(await client.post(URL)).text for _ in range(2)]

    assert texts == ["there", "there"]


def test_respx_sees_each_attempt(
    client: httpx.Client, respx_mock: respx.MockRouter
) -> None:
    first = respx_mock.post(MOCKED[0]).mock(side_effect=httpx.ConnectError)
    second = respx_mock.post(MOCKED[1]).respond(text="there")

    texts = [client.post(URL).text for _ in range(2)]

    assert texts == ["there", "there"]
    assert first.called
    assert second.call_count == 2


@pytest.mark.anyio
async def test_respx_async(orders: LoadBalancer, respx_mock: respx.MockRouter) -> None:
    respx_mock.post(MOCKED[0]).mock(side_effect=httpx.ConnectError)
    respx_mock.post(MOCKED[1]).respond(text="there")

    transport = AsyncLoadBalancingTransport(orders)
    async with httpx.AsyncClient(transport=transport) as client:
        texts = [(await client.post(URL)).text for _ in range(2)]

    assert texts == ["there", "there"]


def test_router_of_respx_as_an_inner_transport(orders: LoadBalancer) -> None:
    router = respx.Router()
    router.get(MOCKED[0]).respond(503)
    router.get(MOCKED[1]).respond(text="there")
    transport = LoadBalancingTransport(
        orders, transport_factory=lambda _: httpx.MockTransport(router.handler)
    )

    with httpx.Client(transport=transport) as client:
        response = client.get(URL)

    assert response.text == "there"


def test_respx_above_us_sees_the_logical_url_and_nothing_is_balanced(
    client: httpx.Client, orders: LoadBalancer
) -> None:
    with respx.mock(using="httpx") as router:
        router.get(URL).respond(text="mocked")

        assert client.get(URL).text == "mocked"

    assert sum(one.total for one in orders.stats().backends) == 0
