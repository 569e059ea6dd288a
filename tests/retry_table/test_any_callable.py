"""The same table for `execute` and `execute_async`: any callable that takes a backend.

What a callable answers is none of our business, so its lines are those that end in an
error, and whose cause can be seen without an adapter.
Whether it may be repeated its caller says, since it has no method.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anyio
import httpx
import pytest

from lbtransport import Backend, LoadBalancer
from tests.certificates import Authority
from tests.conftest import ServerStarter
from tests.httpx_family.kinds import orders_at, outcomes_of
from tests.retry_table.misbehaving import SHORT, misbehaving
from tests.retry_table.table import Line, lines
from tests.servers import PATIENCE, reply

WHAT = {
    "refuses connections",
    "never accepts",
    "is certified by nobody we know",
    "is certified for another name",
    "closes in the handshake",
    "hangs in the handshake",
    "speaks TLS, and we do not",
    "closes before it reads",
    "reads and closes",
    "reads and resets",
    "reads and never answers",
    "answers with garbage",
    "closes in its headers",
}
LINES = [line for line in lines("httpx") if line.what in WHAT]


def _call(
    service: LoadBalancer, trust: Any, timeout: float, *, idempotent: bool
) -> str:
    def ask(backend: Backend) -> str:
        with httpx.Client(verify=trust, timeout=timeout) as client:
            return client.post(backend.url, content=b"x").text

    return service.execute(ask, idempotent=idempotent)


def _await(
    service: LoadBalancer, trust: Any, timeout: float, *, idempotent: bool
) -> str:
    async def ask(backend: Backend) -> str:
        async with httpx.AsyncClient(verify=trust, timeout=timeout) as client:
            return (await client.post(backend.url, content=b"x")).text

    async def call() -> str:
        return await service.execute_async(ask, idempotent=idempotent)

    return anyio.run(call)


@pytest.mark.parametrize("idempotent", [True, False], ids=["idempotent", "once"])
@pytest.mark.parametrize("call", [_call, _await])
@pytest.mark.parametrize("line", LINES, ids=str)
def test_callable_is_repeated_as_a_request_would_be(
    line: Line,
    call: Callable[..., str],
    start_server: ServerStarter,
    authority: Authority,
    *,
    idempotent: bool,
) -> None:
    second = start_server(reply(body=b"second"))
    is_repeated = line.repeated == "any" or idempotent

    with misbehaving(line.what, authority) as first:
        service = orders_at(first.url, second.url)
        timeout = SHORT if first.vice.patience else PATIENCE
        try:
            got = call(
                service, authority.client_context(), timeout, idempotent=idempotent
            )
        except httpx.HTTPError as error:
            got = type(error).__name__

        assert got in ({"second"} if is_repeated else line.unrepeated)
        assert (len(first.requests("/")), len(second.requests)) == (
            line.read,
            is_repeated,
        )
        assert outcomes_of(service) == (1 + is_repeated, line.is_blamed, 0)
