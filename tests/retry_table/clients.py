"""The clients of the table, each as a function that sends one request."""

from __future__ import annotations

import functools
import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import anyio
import requests

from lbtransport import Attempt, LoadBalancer
from lbtransport.requests import exchange
from tests.certificates import Authority
from tests.httpx_family.kinds import KINDS, Kind, done
from tests.requests_adapter.kit import Balanced
from tests.retry_table.table import Request

URL = "http://orders/"


@dataclass(frozen=True)
class Order:
    """What a client is to do.

    Attributes:
        request: The request.
        content: Its body.
        timeout: Seconds for each step.
        before: Called once a connection was opened, and is kept; None if there is
            none to be kept.
        authority: Whom to trust.
        ca_file: The same as a file.
    """

    request: Request
    content: bytes
    timeout: float
    before: Callable[[], None] | None
    authority: Authority
    ca_file: Path

    @property
    def url(self) -> str:
        return f"{URL}{self.request}"

    @property
    def headers(self) -> dict[str, str]:
        return {"Idempotency-Key": "17"} if self.request.has_key else {}


@dataclass(frozen=True)
class Got:
    """What came of it.

    Attributes:
        what: The class of an error, or the status and the text of a response.
        attempts: Those that it tells of; requests' error in a body tells of none.
    """

    what: str
    attempts: tuple[Attempt, ...]


Ask: TypeAlias = Callable[[LoadBalancer, Order], Got]


def ask_by_requests(service: LoadBalancer, order: Order) -> Got:
    """Send one request with a session of requests."""
    content = order.content
    bodies: dict[str, Any] = {
        "bytes": content,
        "file": io.BytesIO(content),
        "generator": iter(_halves(content)),
    }
    balanced = Balanced(service)
    with balanced.session as session:
        session.verify = str(order.ca_file)
        if order.before is not None:
            session.get(URL, timeout=order.timeout)
            order.before()
        try:
            response = session.request(
                order.request.method,
                order.url,
                data=bodies[order.request.body],
                headers=order.headers,
                timeout=order.timeout,
            )
        except requests.RequestException as error:
            return _failed(error)
        told = exchange(response)
    assert told is not None
    return Got(f"{response.status_code} {response.text}".strip(), told.attempts)


def ask_by(kind: Kind, service: LoadBalancer, order: Order) -> Got:
    """Send one request with a client of the httpx family."""
    return anyio.run(_ask_by, kind, service, order, backend=kind.loop or "asyncio")


async def _ask_by(kind: Kind, service: LoadBalancer, order: Order) -> Got:
    content = order.content
    bodies: dict[str, dict[str, Any]] = {
        "bytes": {"content": content},
        "file": {"content": io.BytesIO(content)},
        "generator": {"content": kind.body_of(*_halves(content))},
    }
    if kind.is_async:  # takes files in forms only
        bodies["file"] = {"files": {"file": io.BytesIO(content)}}
    trust = order.authority.client_context()
    client_options = {"timeout": order.timeout}
    async with kind.connect(service, client=client_options, verify=trust) as client:
        if order.before is not None:
            await done(client.get(URL))
            order.before()
        try:
            response = await done(
                client.request(
                    order.request.method,
                    order.url,
                    headers=order.headers,
                    **bodies[order.request.body],
                )
            )
        except kind.hx.HTTPError as error:
            return _failed(error)
    told = response.extensions["lbtransport"]
    return Got(f"{response.status_code} {response.text}".strip(), told.attempts)


def _failed(error: Exception) -> Got:
    return Got(type(error).__name__, getattr(error, "attempts", ()))


def _halves(content: bytes) -> tuple[bytes, bytes]:
    middle = len(content) // 2
    return content[:middle], content[middle:]


# By family; under trio the same code runs as under asyncio.
CLIENTS: dict[str, tuple[str, Ask]] = {
    "requests": ("requests", ask_by_requests),
    **{
        str(kind): ("httpx", functools.partial(ask_by, kind))
        for kind in KINDS
        if kind.loop != "trio"
    },
}
