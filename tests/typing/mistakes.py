"""What a type checker must refuse, each line with the error that it is to find.

A comment that excuses nothing is an error itself, for mypy (warn_unused_ignores) and
for pyright (reportUnnecessaryTypeIgnoreComment).
"""

from __future__ import annotations

import httpx
import httpx2
import requests

from lbtransport import Backend, LoadBalancer, Outcome, RetryPolicy, options
from lbtransport.httpx import AsyncLoadBalancingTransport, LoadBalancingTransport
from lbtransport.requests import mount


async def call_async(backend: Backend) -> str:
    return backend.url


def call_with_text(url: str) -> str:
    return url


def hear_text(event: str) -> None: ...


def constructing() -> None:
    LoadBalancer()  # type: ignore[call-arg]
    LoadBalancer(8080)  # type: ignore[arg-type]
    LoadBalancer("orders", [8080])  # type: ignore[list-item]
    LoadBalancer("orders", strategy=7)  # type: ignore[arg-type]
    LoadBalancer("orders", key=17)  # type: ignore[arg-type]
    LoadBalancer("orders", retry=3)  # type: ignore[arg-type]
    LoadBalancer("orders", health=True)  # type: ignore[arg-type]
    LoadBalancer("orders", deadline="1s")  # type: ignore[arg-type]
    LoadBalancer("orders", [], "round_robin")  # type: ignore[call-arg]
    LoadBalancer("orders", stratgy="round_robin")  # type: ignore[call-arg]
    RetryPolicy(3)  # type: ignore[call-arg]
    Backend("http://10.0.0.1", 3)  # type: ignore[call-arg]
    Backend("http://10.0.0.1", headers={"X-Key": 7})  # type: ignore[dict-item]


def using(orders: LoadBalancer, backend: Backend) -> None:
    number: int = orders.execute(lambda backend: backend.url)  # type: ignore[assignment]
    orders.execute(call_with_text)  # type: ignore[arg-type]
    backend.weight = 2  # type: ignore[misc]
    orders.stats().name = "users"  # type: ignore[misc]
    orders.stats().backends[0].latency + 1  # type: ignore[operator]
    orders.mark_healthy(backend, "yes")  # type: ignore[arg-type]
    orders.drain(backend, until=3)  # type: ignore[call-arg]
    orders.select().release(outcome="success")  # type: ignore[arg-type]
    orders.subscribe(hear_text)  # type: ignore[arg-type]
    orders.backends.append(backend)  # type: ignore[attr-defined]
    Outcome.throttled("soon")  # type: ignore[arg-type]
    options("user-17")  # type: ignore[call-arg]
    with options(idempotent="yes"):  # type: ignore[arg-type]
        print(number)


async def using_async(orders: LoadBalancer) -> None:
    number: int = await orders.execute_async(call_async)  # type: ignore[arg-type]
    await orders.execute_async(lambda backend: backend.url)  # type: ignore[arg-type, return-value]
    print(number)


def transports(orders: LoadBalancer, session: requests.Session) -> None:
    LoadBalancingTransport("orders")  # type: ignore[arg-type]
    LoadBalancingTransport(orders, limits=httpx2.Limits())  # type: ignore[arg-type]
    LoadBalancingTransport(orders, True)  # type: ignore[call-arg]
    LoadBalancingTransport(orders, passthrough=httpx.AsyncHTTPTransport())  # type: ignore[arg-type]
    httpx.Client(transport=AsyncLoadBalancingTransport(orders))  # type: ignore[arg-type]
    httpx2.Client(transport=LoadBalancingTransport(orders))  # type: ignore[arg-type]
    mount(orders, session)  # type: ignore[arg-type]
    mount(session, orders, max_retry=3)  # type: ignore[call-arg]
