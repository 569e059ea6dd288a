"""A server that costs as little as it can: a fixed answer to whatever ends a request.

Started by the benchmarks as a process of its own, so that its work is not counted:
``python server.py [PORTS]`` prints its ports, one by default, and serves until its
standard input closes.
To each line that it reads there it prints how many connections it accepted so far.
"""

from __future__ import annotations

import asyncio
import sys
from typing import ClassVar

BODY = b'{"ok": true}'
ANSWER = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
    b"Content-Length: %d\r\n\r\n%b" % (len(BODY), BODY)
)


class Answering(asyncio.Protocol):
    """Answers once for each blank line; the benchmarks send no bodies."""

    accepted: ClassVar[int] = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        Answering.accepted += 1
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._rest = b""

    def data_received(self, data: bytes) -> None:
        *requests, self._rest = (self._rest + data).split(b"\r\n\r\n")
        self._transport.write(ANSWER * len(requests))


async def main(ports: int) -> None:
    loop = asyncio.get_running_loop()
    servers = [
        await loop.create_server(Answering, "127.0.0.1", 0, backlog=4096)
        for _ in range(ports)
    ]
    print(*[server.sockets[0].getsockname()[1] for server in servers], flush=True)
    while await loop.run_in_executor(None, sys.stdin.readline):
        print(Answering.accepted, flush=True)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 1))
