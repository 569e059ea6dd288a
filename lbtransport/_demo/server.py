"""One server of the demo: answers every GET, after a delay, with its own name.

``python -m lbtransport._demo.server --name a --delay 0.004`` prints its port and serves
until its standard input closes, so it cannot outlive whoever started it.

Not a web server: it looks at nothing but the blank line that ends a request.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence

HOST = "127.0.0.1"


class Answering(asyncio.Protocol):
    """One connection."""

    def __init__(
        self, answer: bytes, delay: float, connections: set[asyncio.Transport]
    ) -> None:
        """Answer each request alike.

        Args:
            answer: The whole answer, head and body.
            delay: Seconds from the request to its answer.
            connections: Those that are open; kept up to date.
        """
        self._answer = answer
        self._delay = delay
        self._connections = connections
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection on."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._connections.add(transport)

    def connection_lost(self, error: Exception | None) -> None:
        """Forget the connection."""
        self._connections.discard(self._transport)

    def data_received(self, data: bytes) -> None:
        """Answer each request that is complete, in a while."""
        *requests, self._rest = (self._rest + data).split(b"\r\n\r\n")
        loop = asyncio.get_running_loop()
        for _ in requests:
            # Writing to a connection that is closed by then does nothing.
            loop.call_later(self._delay, self._transport.write, self._answer)


def answer_of(name: str) -> bytes:
    """Return the answer of the server of this name, head and body."""
    body = json.dumps({"server": name}).encode()
    head = (
        f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def serve(name: str, delay: float, port: int) -> None:
    """Serve, and print the port, until the standard input closes."""
    loop = asyncio.get_running_loop()
    answer = answer_of(name)
    connections: set[asyncio.Transport] = set()
    server = await loop.create_server(
        lambda: Answering(answer, delay, connections), HOST, port
    )
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()
    for connection in list(connections):
        connection.abort()
    await asyncio.sleep(0)  # lets the connections end


def main(argv: Sequence[str] | None = None) -> None:
    """Run the server that the arguments describe."""
    parser = argparse.ArgumentParser(prog="python -m lbtransport._demo.server")
    parser.add_argument("--name", required=True)
    parser.add_argument("--delay", type=float, default=0.0, help="seconds")
    parser.add_argument("--port", type=int, default=0, help="0: the system chooses one")
    arguments = parser.parse_args(argv)
    # Even in Python's development mode: a slow machine is no news here.
    asyncio.run(serve(arguments.name, arguments.delay, arguments.port), debug=False)


if __name__ == "__main__":
    main()
