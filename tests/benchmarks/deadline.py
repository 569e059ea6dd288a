"""How much later than its deadline a request ends, with servers that never finish.

Each client sends requests with a deadline, several at a time, to a server in another
process that misbehaves in one way; what counts is how long the caller was kept beyond
his deadline.
Backends have addresses here: resolving a name is the system's, and is not covered.

    python tests/benchmarks/deadline.py [--requests 40] [--at-once 5] [--deadline 0.3]
"""

from __future__ import annotations

import argparse
import multiprocessing
import socket
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from typing import Any

import anyio
import httpx
import httpx2
import requests

import lbtransport.httpx
import lbtransport.httpx2
import lbtransport.requests
from lbtransport import LoadBalancer, RetryPolicy

# More than the system buffers; asyncio copies what it cannot send yet, 2 ms a megabyte.
UPLOAD = bytes(8_000_000)
TICK = 0.02  # seconds between two bytes
HEAD = b"HTTP/1.1 200 OK\r\n"

Send = Callable[[], Any]


def trickle(connection: socket.socket, head: bytes) -> None:
    """Send a byte now and then, in time for every timeout, for ever."""
    connection.recv(65536)
    connection.sendall(head)
    while True:
        time.sleep(TICK)  # what is measured: a byte now and then
        connection.sendall(b"x")


def body(connection: socket.socket) -> None:
    """Never end a body."""
    trickle(connection, HEAD + b"Content-Length: 1000000\r\n\r\n")


def headers(connection: socket.socket) -> None:
    """Never end a header."""
    trickle(connection, HEAD + b"X-Long: ")


def silence(connection: socket.socket) -> None:
    """Never answer."""
    time.sleep(60)  # longer than any deadline here; the thread dies with the program


def sip(connection: socket.socket) -> None:
    """Read an upload so slowly that it never ends."""
    while connection.recv(20_000):
        time.sleep(TICK)  # as above


def unavailable(connection: socket.socket) -> None:
    """Answer, but not what was asked for."""
    while connection.recv(65536):
        connection.sendall(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")


SERVERS = {
    "trickling body": body,
    "trickling headers": headers,
    "no answer": silence,
    "stalled upload": silence,
    "sipped upload": sip,
    "sleeping retries": unavailable,
}
UPLOADS = {"stalled upload", "sipped upload"}


def accept(listener: socket.socket, behave: Callable[[socket.socket], None]) -> None:
    """Let each connection meet its fate, in a thread of its own."""

    def serve(connection: socket.socket) -> None:
        with closing(connection), suppress(OSError):
            behave(connection)

    while True:
        connection, _ = listener.accept()
        threading.Thread(target=serve, args=(connection,), daemon=True).start()


def run_servers(ports: Any) -> None:
    """Serve until the process ends; put the ports."""
    found = {}
    for name, behave in SERVERS.items():
        listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        found[name] = listener.getsockname()[1]
        threading.Thread(target=accept, args=(listener, behave)).start()
    ports.put(found)


def fill_queue(listener: socket.socket) -> list[socket.socket]:
    """Have connecting to a socket hang; return what fills its queue."""
    listener.listen(0)
    queue = [socket.socket() for _ in range(4)]
    for waiting in queue:
        waiting.setblocking(False)
        waiting.connect_ex(listener.getsockname())
    return queue


def clients(service: LoadBalancer) -> Iterator[tuple[str, Any, str | None]]:
    """Give each client with its name, and its loop if it has one."""
    session = requests.Session()
    lbtransport.requests.mount(session, service)
    yield "requests", session, None
    for hx, ours in ((httpx, lbtransport.httpx), (httpx2, lbtransport.httpx2)):
        module: Any = hx
        transport: Any = ours.LoadBalancingTransport(service)
        yield module.__name__, module.Client(transport=transport, timeout=30), None
        for loop in ("asyncio", "trio"):
            transport = ours.AsyncLoadBalancingTransport(service)
            client = module.AsyncClient(transport=transport, timeout=30)
            yield f"{module.__name__} {loop}", client, loop


def in_threads(client: Any, send: Send, count: int, at_once: int) -> list[float]:
    """Return how long each request took of a synchronous client."""

    def once(_: int) -> float:
        began = time.monotonic()
        with suppress(requests.RequestException, httpx.HTTPError, httpx2.HTTPError):
            send()
        return time.monotonic() - began

    with closing(client), ThreadPoolExecutor(at_once) as threads:
        return list(threads.map(once, range(count)))


async def in_tasks(client: Any, send: Send, count: int, at_once: int) -> list[float]:
    """Return how long each request took of an asynchronous client."""
    took = []

    async def several() -> None:
        for _ in range(count // at_once):
            began = time.monotonic()
            with suppress(httpx.HTTPError, httpx2.HTTPError):
                await send()
            took.append(time.monotonic() - began)

    async with client, anyio.create_task_group() as group:
        for _ in range(at_once):
            group.start_soon(several)
    return took


def measure(
    trouble: str, port: int, *, deadline: float, requests: int, at_once: int
) -> Iterator[tuple[str, list[float]]]:
    """Give each client's name and its overshoots, in milliseconds."""
    service = LoadBalancer(
        "service",
        [f"http://127.0.0.1:{port}"],
        deadline=deadline,
        retry=RetryPolicy(attempts=1000, min_wait=0.05, budget_ratio=None),
    )
    for name, client, loop in clients(service):
        content = {"data" if name == "requests" else "content": UPLOAD}

        def send(client: Any = client, content: Any = content) -> Any:
            if trouble in UPLOADS:
                return client.put("http://service/", **content)
            return client.get("http://service/")

        given = (client, send, requests, at_once)
        if loop is None:
            took = in_threads(*given)
        else:
            took = anyio.run(in_tasks, *given, backend=loop)
        assert service.stats().backends[0].in_flight == 0
        yield name, [(seconds - deadline) * 1e3 for seconds in took]


def show(what: str, over: list[float]) -> None:
    """Print a line."""
    late = statistics.quantiles(over, n=20, method="inclusive")[-1]
    print(f"{what:34} {late:8.1f} {max(over):8.1f}", flush=True)


def main() -> None:
    """Measure every trouble with every client."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=40, help="of each client")
    parser.add_argument("--at-once", type=int, default=5)
    parser.add_argument("--deadline", type=float, default=0.3, help="seconds")
    settings = vars(parser.parse_args())
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    servers = context.Process(target=run_servers, args=(queue,), daemon=True)
    servers.start()
    ports = queue.get()
    print(f"{'milliseconds over':34} {'p95':>8} {'most':>8}")
    every: list[float] = []
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        waiting = fill_queue(listener)
        ports["hanging connect"] = listener.getsockname()[1]
        # Not counted: what each client imports when it is first used.
        list(measure("no answer", ports["no answer"], **settings | {"requests": 5}))
        for trouble, port in ports.items():
            for name, over in measure(trouble, port, **settings):
                show(f"{trouble:18} {name}", over)
                every += over
        for one in waiting:
            one.close()
    show("all", every)
    servers.terminate()
    servers.join()


if __name__ == "__main__":
    main()
