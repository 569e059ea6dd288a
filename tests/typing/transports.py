"""What a type checker says of the transports: as `face.py`."""

from __future__ import annotations

import ssl
from typing import assert_type

import httpx
import httpx2
import requests
from requests.adapters import HTTPAdapter

import lbtransport.httpx
import lbtransport.httpx2
import lbtransport.requests
from lbtransport import Backend, LoadBalancer, NoBackendsAvailable


def find(scheme: str, host: str, port: int) -> LoadBalancer | None:
    return None


def with_requests(orders: LoadBalancer, session: requests.Session) -> None:
    adapter = lbtransport.requests.mount(session, orders)
    assert_type(adapter, lbtransport.requests.LoadBalancingAdapter)
    session.mount("http://", adapter)
    lbtransport.requests.mount(session)
    lbtransport.requests.mount(session, [orders, orders], pool_maxsize=50)
    lbtransport.requests.LoadBalancingAdapter()
    lbtransport.requests.LoadBalancingAdapter(find)
    as_theirs: HTTPAdapter = lbtransport.requests.LoadBalancingAdapter(
        orders,
        pool_connections=1,
        max_retries=0,
        use_proxies=True,
        allow_plaintext=True,
        passthrough={"http://": HTTPAdapter()},
    )
    as_theirs.close()
    response = session.get("http://orders/v1/items", timeout=5)
    assert_type(response, requests.Response)


def with_httpx(orders: LoadBalancer, context: ssl.SSLContext) -> None:
    transport = lbtransport.httpx.LoadBalancingTransport(
        orders,
        verify=context,
        cert=("cert.pem", "key.pem"),
        trust_env=False,
        http1=True,
        http2=True,
        limits=httpx.Limits(max_connections=10),
        local_address="127.0.0.1",
        passthrough=httpx.HTTPTransport(),
        allow_plaintext=True,
    )
    as_theirs: httpx.BaseTransport = transport
    client = httpx.Client(transport=as_theirs, mounts={"all://orders": transport})
    assert_type(client.get("http://orders/"), httpx.Response)
    request = httpx.Request("GET", "http://orders/")
    assert_type(transport.handle_request(request), httpx.Response)
    lbtransport.httpx.LoadBalancingTransport()
    lbtransport.httpx.LoadBalancingTransport([orders])
    lbtransport.httpx.LoadBalancingTransport(find)

    def make(backend: Backend) -> httpx.HTTPTransport:
        return httpx.HTTPTransport(verify=context)

    lbtransport.httpx.LoadBalancingTransport(orders, transport_factory=make)


async def with_httpx_async(orders: LoadBalancer) -> None:
    transport = lbtransport.httpx.AsyncLoadBalancingTransport(
        orders,
        limits=httpx.Limits(max_connections=10),
        transport_factory=lambda backend: httpx.AsyncHTTPTransport(verify=backend.url),
        passthrough=httpx.AsyncHTTPTransport(),
    )
    async with httpx.AsyncClient(transport=transport) as client:
        assert_type(await client.get("http://orders/"), httpx.Response)
    request = httpx.Request("GET", "http://orders/")
    assert_type(await transport.handle_async_request(request), httpx.Response)


def with_httpx2(orders: LoadBalancer) -> None:
    transport = lbtransport.httpx2.LoadBalancingTransport(
        [orders],
        limits=httpx2.Limits(max_connections=10),
        transport_factory=lambda backend: httpx2.HTTPTransport(),
    )
    with httpx2.Client(transport=transport) as client:
        assert_type(client.get("http://orders/"), httpx2.Response)
    request = httpx2.Request("GET", "http://orders/")
    assert_type(transport.handle_request(request), httpx2.Response)


async def with_httpx2_async(orders: LoadBalancer) -> None:
    transport = lbtransport.httpx2.AsyncLoadBalancingTransport(find)
    async with httpx2.AsyncClient(transport=transport) as client:
        assert_type(await client.get("http://orders/"), httpx2.Response)
    request = httpx2.Request("GET", "http://orders/")
    assert_type(await transport.handle_async_request(request), httpx2.Response)


def errors() -> None:
    """Each is caught by those who know only the client."""
    theirs: requests.ConnectionError = lbtransport.requests.NoBackendsAvailable()
    ours: NoBackendsAvailable = lbtransport.requests.NoBackendsAvailable()
    httpx_error: httpx.ConnectError = lbtransport.httpx.NoBackendsAvailable("none")
    httpx2_error: httpx2.ConnectError = lbtransport.httpx2.NoBackendsAvailable("none")
    for error in (theirs, ours, httpx_error, httpx2_error):
        assert_type(error.__traceback__ is None, bool)
