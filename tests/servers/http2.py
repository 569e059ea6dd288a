"""A real HTTP/2 server on loopback, whose every frame a test decides.

A `LoopbackServer` in all but the framing, which h2 does: it too keeps what it received,
and can be killed and restarted.
It is for what no server does on request: refusing a stream, going away in the middle.
Not here: what a good server does; hypercorn is one.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import h2.config
import h2.connection
import h2.events
import h2.exceptions
from h2.errors import ErrorCodes

from tests.servers.messages import Fate, Headers, Request
from tests.servers.server import LoopbackServer
from tests.servers.wire import Over, Wire


@dataclass(frozen=True, slots=True)
class Stream:
    """A request that came in full, and what can be done with it.

    Frames are sent when the handler returns.
    """

    request: Request
    number: int
    """Counts the streams of the connection: 1, 3, 5 and so on."""
    _connection: h2.connection.H2Connection

    def answer(
        self,
        body: bytes = b"",
        *,
        headers: Sequence[tuple[str, str]] = (),
        is_whole: bool = True,
    ) -> None:
        """Answer with a body, or with the beginning of one."""
        self._connection.send_headers(self.number, [(":status", "200"), *headers])
        self._connection.send_data(self.number, body, end_stream=is_whole)

    def reset(self, code: ErrorCodes) -> None:
        """Send a RST_STREAM: this request alone is over."""
        self._connection.reset_stream(self.number, code)

    def go_away(self, last: int, code: ErrorCodes = ErrorCodes.NO_ERROR) -> None:
        """Send a GOAWAY: the connection is over for all streams.

        Args:
            last: The last stream that may have been processed.
            code: Why.
        """
        self._connection.close_connection(code, last_stream_id=last)


OnStream: TypeAlias = Callable[[Stream], None]


class Http2Server(LoopbackServer):
    """Serve HTTP/2 on loopback, one thread for each connection.

    Without a context for TLS it speaks HTTP/2 from the first byte (prior knowledge).
    `on_stream` may be replaced at any time.
    """

    def __init__(
        self, on_stream: OnStream, *, ssl_context: ssl.SSLContext | None = None
    ) -> None:
        """Take a port.

        Args:
            on_stream: Called with each request that came in full.
            ssl_context: Makes it a TLS server, which offers HTTP/2 alone.
        """
        if ssl_context is not None:
            ssl_context.set_alpn_protocols(["h2"])
        super().__init__(ssl_context=ssl_context)
        self.on_stream = on_stream

    def _speak(self, wire: Wire, number: int, server_name: str | None) -> None:
        config = h2.config.H2Configuration(client_side=False, header_encoding="latin-1")
        connection = h2.connection.H2Connection(config)
        connection.initiate_connection()
        heads: dict[int, Headers] = {}
        bodies: dict[int, bytes] = {}
        while True:
            wire.send(connection.data_to_send())
            try:
                events = connection.receive_data(wire.receive())
            except h2.exceptions.ProtocolError:  # we have gone away already
                raise Over(Fate.CLOSE) from None
            for event in events:
                match event:
                    case h2.events.RequestReceived(stream_id=stream, headers=pairs):
                        heads[stream] = Headers(pairs)  # type: ignore[arg-type]  # decoded
                        bodies[stream] = b""
                    case h2.events.DataReceived(stream_id=stream, data=data):
                        bodies[stream] += data
                        size = event.flow_controlled_length
                        connection.acknowledge_received_data(size, stream)
                    case h2.events.StreamEnded(stream_id=stream):
                        headers, body = heads.pop(stream), bodies.pop(stream)
                        request = Request(
                            headers[":method"],
                            headers[":path"],
                            headers,
                            body,
                            self._count_request(),
                            number,
                            server_name,
                        )
                        self._note_request(request)
                        self.on_stream(Stream(request, stream, connection))
                    case h2.events.ConnectionTerminated():
                        raise Over(Fate.CLOSE)
