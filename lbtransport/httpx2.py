"""Transports for httpx2: requests to logical hostnames go to a backend of the service.

```python
client = httpx2.Client(transport=LoadBalancingTransport(orders))
client = httpx2.AsyncClient(transport=AsyncLoadBalancingTransport(orders))
client = httpx2.Client(mounts={"all://orders": LoadBalancingTransport(orders)})
```

Everything is in `_httpx_family`; here it meets httpx2's classes.
"""

from __future__ import annotations

try:
    import httpx2
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "lbtransport.httpx2 needs httpx2: pip install 'lbtransport[httpx2]'"
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
class NoBackendsAvailable(httpx2.ConnectError, _errors.NoBackendsAvailable):
    """No backend of the service can be selected; also a ``httpx2.ConnectError``."""


class ConfigurationError(httpx2.ConnectError, _errors.ConfigurationError):
    """What was asked for makes no sense; also a ``httpx2.ConnectError``."""


_FLAVOUR = Flavour(httpx2, NoBackendsAvailable, ConfigurationError)


class LoadBalancingTransport(
    SyncFamilyTransport[
        httpx2.Request, httpx2.Response, httpx2.BaseTransport, httpx2.Limits
    ],
    httpx2.BaseTransport,
):
    """Balances the requests of a synchronous client.  Thread-safe."""

    flavour = _FLAVOUR


class AsyncLoadBalancingTransport(
    AsyncFamilyTransport[
        httpx2.Request, httpx2.Response, httpx2.AsyncBaseTransport, httpx2.Limits
    ],
    httpx2.AsyncBaseTransport,
):
    """Balances the requests of an asynchronous client, under asyncio or trio."""

    flavour = _FLAVOUR
