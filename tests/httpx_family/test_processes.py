"""Forks, event loops that end, and interpreters that do."""

from __future__ import annotations

import gc
import subprocess
import sys
import textwrap
import threading
from pathlib import Path
from typing import Any

import pytest

import lbtransport
from lbtransport._httpx_family import bodies, pools, transports
from tests.conftest import ServerStarter
from tests.httpx_family.kinds import (
    Kind,
    done,
    leaves_generators,
    orders_at,
)
from tests.servers import LoopbackServer, Reply, Request, reply

URL = "http://orders/items"


def run(script: str, module: str, url: str) -> str:
    """Run a script in a process of its own, where each warning is an error."""
    script = PREAMBLE.format(module=module) + textwrap.dedent(script)
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", script, url],
        cwd=Path(lbtransport.__file__).parents[1],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (result.returncode, result.stderr) == (0, ""), result.stderr
    return result.stdout


PREAMBLE = """
import asyncio, gc, os, sys, ssl, threading
import {module} as hx
from lbtransport import LoadBalancer
from lbtransport.{module} import *
context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
orders = LoadBalancer("orders", [sys.argv[1]])
in_flight = lambda: orders.stats().backends[0].in_flight
"""

MODULES = pytest.mark.parametrize("module", ["httpx", "httpx2"])


def told(request: Request) -> Reply:
    """Tell by which of its connections a server was asked."""
    return Reply(body=b"%d" % request.connection)


@MODULES
def test_child_of_a_fork_leaves_the_parents_connections_alone(
    start_server: ServerStarter, module: str
) -> None:
    server = start_server(told)
    script = """
        client = hx.Client(transport=LoadBalancingTransport(orders, verify=context))
        get = lambda: client.get("http://orders/").text
        kept = client.send(client.build_request("GET", "http://orders/"), stream=True)
        client.get(sys.argv[1])  # passes through
        before = get()
        child = os.fork()
        if not child:
            del kept
            gc.collect()
            print(before, get(), get(), in_flight(), flush=True)
            client.close()
            gc.collect()
            sys.stdout.flush()
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        print(kept.read().decode(), get(), in_flight())
        client.close()
    """

    output = run(script, module, server.url)

    # Connections: 1 kept, 2 passed through, 3 before, 4 the child's own.
    assert output.splitlines() == ["3 4 4 0", "1 1 0"]


async def test_transport_makes_connections_of_its_own_after_a_fork(
    kind: Kind, server: LoopbackServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As the child does it, in this process: the child's own lines leave no trace.
    parents: list[Any] = []
    monkeypatch.setattr(pools, "parents", parents)
    monkeypatch.setattr(transports, "parents", parents)

    async with kind.connect(orders_at(server.url)) as client:
        await done(client.get(URL))
        await done(client.get(server.url))
        transports._instances.reset_all()
        await done(client.get(URL))
        await done(client.get(server.url))
        for left in parents:
            # Those of other tests, whose transports the collector has not met yet, too.
            if isinstance(left, pools.Pool) and isinstance(
                left.transport, kind.inner("HTTPTransport")
            ):
                await kind.close(left.transport)
            elif isinstance(left, kind.inner("Client")):
                await kind.close(left)

    assert server.connections == 4


@leaves_generators
async def test_response_of_the_parent_closes_nothing_else_in_the_child(
    kind: Kind, server: LoopbackServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    parents: list[Any] = []
    monkeypatch.setattr(pools, "parents", parents)
    monkeypatch.setattr(transports, "parents", parents)

    async with kind.connect(orders_at(server.url)) as client:
        response = await kind.open(client, URL)
        dropped = await kind.open(client, URL)
        del dropped
        gc.collect()
        transports._instances.reset_all()
        await kind.close(response)
        (litter,) = [left for left in parents if isinstance(left, bodies.Litter)]
        left = len(litter._dropped)
        for pool in parents:
            if isinstance(pool, pools.Pool):
                await kind.close(pool.transport)

    assert left == 1


@MODULES
def test_child_of_a_fork_does_not_wait_for_a_lock_of_the_parents(
    server: LoopbackServer, module: str
) -> None:
    script = """
        import contextlib
        transport = LoadBalancingTransport(orders, verify=context)
        client = hx.Client(transport=transport)
        kept = client.send(client.build_request("GET", "http://orders/"), stream=True)
        (pool,) = transport._pools._pools.values()
        with contextlib.ExitStack() as locks:
            locks.enter_context(transport._lock)
            locks.enter_context(transport._routes._lock)
            locks.enter_context(transport._pools._lock)
            locks.enter_context(pool.transport._pool._optional_thread_lock)
            child = os.fork()
            if not child:
                del kept
                gc.collect()
                print(client.get("http://orders/").status_code, flush=True)
                os._exit(0)
            assert os.waitpid(child, 0)[1] == 0
        kept.close()
        client.close()
    """

    assert run(script, module, server.url) == "200\n"


@MODULES
def test_transport_serves_one_event_loop_after_the_other(
    start_server: ServerStarter, module: str
) -> None:
    server = start_server(told)
    script = """
        transport = AsyncLoadBalancingTransport(orders, verify=context)

        async def once():
            async with hx.AsyncClient(transport=transport) as client:
                print((await client.get("http://orders/")).text)

        for _ in range(3):
            asyncio.run(once())
    """

    output = run(script, module, server.url)

    assert output.split() == ["1", "2", "3"]


@MODULES
def test_response_dropped_in_a_loop_that_is_gone_harms_no_later_request(
    start_server: ServerStarter, module: str
) -> None:
    server = start_server(told)
    script = """
        import warnings
        warnings.simplefilter("ignore")  # its connection was never closed
        transport = AsyncLoadBalancingTransport(orders, verify=context)
        left = []

        async def drop():
            client = hx.AsyncClient(transport=transport)
            request = client.build_request("GET", "http://orders/")
            left.append(await client.send(request, stream=True))

        async def get():
            async with hx.AsyncClient(transport=transport) as client:
                print((await client.get("http://orders/")).text)

        asyncio.run(drop())
        left.clear()
        gc.collect()
        asyncio.run(get())
        print(in_flight())
    """

    output = run(script, module, server.url)

    assert output.split() == ["2", "0"]


@MODULES
def test_interpreter_may_end_with_all_still_open(
    start_server: ServerStarter, module: str
) -> None:
    server = start_server(reply(body=[b"one", threading.Event()]))
    script = """
        import warnings
        warnings.simplefilter("ignore")  # of sockets that nobody closed
        client = hx.Client(transport=LoadBalancingTransport(orders, verify=context))
        request = client.build_request("GET", "http://orders/")
        responses = [client.send(request, stream=True) for _ in range(3)]
        # Not iter_raw: bare httpx2 crashes Python 3.13 when one is left over.
        chunks = iter(responses[0].stream)
        print(next(chunks))
        cycle = [responses, chunks]
        cycle.append(cycle)
    """

    assert run(script, module, server.url) == "b'one'\n"
