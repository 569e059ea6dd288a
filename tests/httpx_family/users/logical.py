"""A user's tests, as they were before us: all that they mock is http://orders.

`test_mocks` runs them, in a pytest of their own.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import nullcontext

import httpx
import pytest
import respx
from pytest_httpx import HTTPXMock

import lbtransport.testing
from lbtransport import LoadBalancer
from lbtransport.httpx import AsyncLoadBalancingTransport, LoadBalancingTransport

URL = "http://orders/items"


@pytest.fixture(autouse=True)
def switch() -> Iterator[None]:
    """Do what the documentation says; or leave it away, to see that it is needed."""
    is_wanted = os.environ["SWITCH"] == "disabled"
    with lbtransport.testing.disabled() if is_wanted else nullcontext():
        yield


@pytest.fixture
def orders() -> LoadBalancer:
    return LoadBalancer("orders", ["http://10.0.0.1:8080", "http://10.0.0.2:8080"])


@pytest.fixture
def client(orders: LoadBalancer) -> Iterator[httpx.Client]:
    with httpx.Client(transport=LoadBalancingTransport(orders)) as client:
        yield client


def test_pytest_httpx(client: httpx.Client, httpx_mock: HTTPXMock) -> None:
    httpx_mock.add_response(url=URL, json={"a": 1})

    assert client.get(URL).json() == {"a": 1}


def test_pytest_httpx_sees_what_was_sent(
    client: httpx.Client, httpx_mock: HTTPXMock
) -> None:
    httpx_mock.add_response(method="POST", url=URL, match_json={"b": 2})

    client.post(URL, json={"b": 2})

    (request,) = httpx_mock.get_requests()
    assert (str(request.url), request.headers["host"]) == (URL, "orders")


def test_pytest_httpx_exception(client: httpx.Client, httpx_mock: HTTPXMock) -> None:
    httpx_mock.add_exception(httpx.ReadTimeout("too slow"), url=URL)

    with pytest.raises(httpx.ReadTimeout):
        client.get(URL)

    assert len(httpx_mock.get_requests()) == 1


@pytest.mark.anyio
async def test_pytest_httpx_async(orders: LoadBalancer, httpx_mock: HTTPXMock) -> None:
    httpx_mock.add_response(url=URL, text="there")

    transport = AsyncLoadBalancingTransport(orders)
    async with httpx.AsyncClient(transport=transport) as client:
        response = await client.get(URL)

    assert response.text == "there"


def test_respx(client: httpx.Client, respx_mock: respx.MockRouter) -> None:
    route = respx_mock.get(URL).respond(json={"a": 1})

    assert client.get(URL).json() == {"a": 1}
    assert route.call_count == 1


def test_respx_by_host(client: httpx.Client) -> None:
    with respx.mock(base_url="http://orders") as router:
        router.post("/items", json={"b": 2}).respond(503)

        assert client.post(URL, json={"b": 2}).status_code == 503


@pytest.mark.anyio
async def test_respx_async(orders: LoadBalancer, respx_mock: respx.MockRouter) -> None:
    respx_mock.get(URL).respond(text="there")

    transport = AsyncLoadBalancingTransport(orders)
    async with httpx.AsyncClient(transport=transport) as client:
        response = await client.get(URL)

    assert response.text == "there"
