"""Transports for httpx: requests to logical hostnames go to a backend of the service.

```python
client = httpx.Client(transport=LoadBalancingTransport(orders))
client = httpx.AsyncClient(transport=AsyncLoadBalancingTransport(orders))
client = httpx.Client(mounts={"all://orders": LoadBalancingTransport(orders)})
```

Everything is in `_httpx_family`; here it meets httpx's classes.
"""

from __future__ import annotations

try:
    import httpx
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "lbtransport.httpx needs httpx: pip install 'lbtransport[httpx]'"
    ) from error

from lbtransport import _errors
from lbtransport._httpx_family.flavour import Flavour
from lbtransport._httpx_family.transports import (
    AsyncFamilyTransport,
    SyncFamilyTransport,
)

__all__ = [
    "AsyncLoadBalancingTransport",
    "ConfigurationError",
    "LoadBalancingTransport",
    "NoBackendsAvailable",
]


# The client's class comes first: its constructor takes the request.
class NoBackendsAvailable(httpx.ConnectError, _errors.NoBackendsAvailable):
    """No backend of the service can be selected; also a ``httpx.ConnectError``."""


class ConfigurationError(httpx.ConnectError, _errors.ConfigurationError):
    """What was asked for makes no sense; also a ``httpx.ConnectError``."""


_FLAVOUR = Flavour(httpx, NoBackendsAvailable, ConfigurationError)


class LoadBalancingTransport(
    SyncFamilyTransport[
        httpx.Request, httpx.Response, httpx.BaseTransport, httpx.Limits
    ],
    httpx.BaseTransport,
):
    """Balances the requests of a synchronous client.  Thread-safe."""

    flavour = _FLAVOUR


class AsyncLoadBalancingTransport(
    AsyncFamilyTransport[
        httpx.Request, httpx.Response, httpx.AsyncBaseTransport, httpx.Limits
    ],
    httpx.AsyncBaseTransport,
):
    """Balances the requests of an asynchronous client, under asyncio or trio."""

    flavour = _FLAVOUR
