"""A pytest plugin: each transport of a client of httpx is ours, or wrapped in ours.

That is the one that a client makes by itself, and those that a test gives to it or
mounts.  It is httpx2's plugin as well, where `alias_httpx2` comes first.
"""

from __future__ import annotations

import functools
import importlib
import sys
from typing import Any

import httpx
import pytest
from levels import services

_ours = importlib.import_module(f"lbtransport.{httpx.__name__}")


def _lead_through(client: Any, kind: Any, inner: Any) -> None:
    """Have all clients of a class use a kind of our transports.

    Args:
        client: The class.
        kind: Ours.
        inner: The client's own kind of transports.
    """
    init, init_transport = client.__init__, client._init_transport

    def wrap(transport: Any) -> Any:
        return kind(
            services, transport_factory=lambda _: transport, passthrough=transport
        )

    def make_transport(self: Any, transport: Any = None, **settings: Any) -> Any:
        return kind(services, **settings) if transport is None else wrap(transport)

    @functools.wraps(init)
    def make_client(self: Any, *args: Any, mounts: Any = None, **settings: Any) -> None:
        if sys._getframe(1).f_globals["__name__"].startswith("lbtransport."):
            # Ours made it, to pass on what belongs to no service.
            self._init_transport = functools.partial(init_transport, self)
        # A mounted one of the client's own kind is asked by tests for its proxy.
        wrapped = {
            pattern: one if one is None or isinstance(one, inner) else wrap(one)
            for pattern, one in (mounts or {}).items()
        }
        init(self, *args, mounts=wrapped, **settings)

    patch = pytest.MonkeyPatch()
    patch.setattr(client, "_init_transport", make_transport)
    patch.setattr(client, "__init__", make_client)


_lead_through(httpx.Client, _ours.LoadBalancingTransport, httpx.HTTPTransport)
_lead_through(
    httpx.AsyncClient, _ours.AsyncLoadBalancingTransport, httpx.AsyncHTTPTransport
)
