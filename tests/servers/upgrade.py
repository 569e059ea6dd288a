"""A server whose every connection leaves HTTP, for a protocol that echoes."""

from __future__ import annotations

from tests.servers.messages import Request
from tests.servers.server import LoopbackServer
from tests.servers.wire import Wire

_SWITCH = (
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n"
)


class UpgradeServer(LoopbackServer):
    """Answer a request by a 101, and from then on send back what comes."""

    def _speak(self, wire: Wire, number: int, server_name: str | None) -> None:
        line, headers = wire.read_head()
        method, target, _ = line.split(" ")
        body = wire.read_body(headers)
        count = self._count_request()
        self._note_request(
            Request(method, target, headers, body, count, number, server_name)
        )
        wire.send(_SWITCH + b"\r\n")
        while True:
            wire.send(wire.receive())
