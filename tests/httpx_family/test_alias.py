"""`httpx2.alias_httpx()`, after which ``import httpx`` is httpx2 for a whole process.

`lbtransport.httpx` then serves httpx2: what it serves is decided by the module that it
finds, never by a name.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import lbtransport
from tests.servers import LoopbackServer, echo

USE = """
import asyncio, ssl, sys
import httpx, httpx2
import lbtransport
from lbtransport import LoadBalancer

context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
orders, nobody = LoadBalancer("orders", [sys.argv[1]]), LoadBalancer("nobody")

def use(ours):
    transport = ours.LoadBalancingTransport([orders, nobody], verify=context)
    with httpx.Client(transport=transport) as client:
        print(client.post("http://orders/", content=b"sync").text)
        try:
            client.get("http://nobody/")
        except httpx.ConnectError as error:
            print(isinstance(error, lbtransport.NoBackendsAvailable))

async def use_async(ours):
    transport = ours.AsyncLoadBalancingTransport(orders, verify=context)
    async with httpx2.AsyncClient(transport=transport) as client:
        print((await client.post("http://orders/", content=b"async")).text)

import lbtransport.httpx, lbtransport.httpx2
for ours in lbtransport.httpx, lbtransport.httpx2:
    use(ours)
    asyncio.run(use_async(ours))
print(httpx is httpx2)
"""


def run(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", script, *arguments],
        cwd=Path(lbtransport.__file__).parents[1],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    "before",
    [
        "import httpx2; httpx2.alias_httpx()",
        "import lbtransport.httpx2, httpx2; httpx2.alias_httpx()",
        "import httpx2; httpx2.alias_httpx(); import lbtransport.httpx",
        "import httpx2; httpx2.alias_httpx(); httpx2.alias_httpx()",
    ],
)
def test_both_modules_serve_httpx2_once_httpx_is_its_alias(
    server: LoopbackServer, before: str
) -> None:
    server.handler = echo

    result = run(before + USE, server.url)

    assert result.stderr == ""
    assert result.stdout.split() == ["sync", "True", "async"] * 2 + ["True"]


def test_alias_after_our_module_for_httpx_is_refused_by_httpx2() -> None:
    # As after any other import of httpx: the order is the application's to get right.
    result = run("import lbtransport.httpx, httpx2; httpx2.alias_httpx()")

    assert "RuntimeError: httpx was already imported" in result.stderr


def test_balancing_without_an_adapter_leaves_the_alias_free() -> None:
    result = run("import lbtransport, lbtransport.httpx2, httpx2; httpx2.alias_httpx()")

    assert (result.returncode, result.stderr) == (0, "")
