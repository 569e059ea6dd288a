"""A real application server on loopback: hypercorn, in a thread of its own.

It speaks HTTP/1.1 and HTTP/2 as a good server does, which is its use here.
Not here: what a good server does not do; `LoopbackServer` and `Http2Server` do.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from hypercorn.asyncio import serve
from hypercorn.config import Config


class _Config(Config):
    """Takes a context for TLS in place of files."""

    context: ssl.SSLContext | None = None

    @property
    def ssl_enabled(self) -> bool:
        return self.context is not None

    def create_ssl_context(self) -> ssl.SSLContext | None:
        return self.context


class AsgiServer:
    """Serve an ASGI application; a context manager.

    Without a context for TLS it takes HTTP/2 from clients that speak it from the first
    byte, and HTTP/1.1 from the others.
    """

    def __init__(
        self,
        application: Any,
        *,
        ssl_context: ssl.SSLContext | None = None,
        uds: Path | None = None,
    ) -> None:
        """Take a port, where connections wait until the thread has started.

        Args:
            application: Called with each request.
            ssl_context: Makes it a TLS server, which offers both versions.
            uds: The socket's file, in place of a port.
        """
        self._application = application
        if uds is None:
            listener = socket.create_server(("127.0.0.1", 0))
            authority = f"127.0.0.1:{listener.getsockname()[1]}"
        else:
            listener = socket.socket(socket.AF_UNIX)
            listener.bind(str(uds))
            listener.listen()
            authority = "localhost"
        self._thread = threading.Thread(target=self._run, name="hypercorn")
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_over = asyncio.Event()
        config = self._config = _Config()
        config.bind = [f"fd://{listener.detach()}"]
        config.errorlog = None
        if ssl_context is not None:
            ssl_context.set_alpn_protocols(["h2", "http/1.1"])
            config.context = ssl_context
        scheme = "http" if ssl_context is None else "https"
        self.url = f"{scheme}://{authority}"

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        trigger = self._is_over.wait
        await serve(self._application, self._config, shutdown_trigger=trigger)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._is_over.set)
        self._thread.join()
