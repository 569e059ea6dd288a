"""A pytest plugin: each adapter of requests is ours.

That is those that a session mounts by itself, and those that a test makes.
"""

from __future__ import annotations

from typing import Any

import pytest
import requests.adapters
import requests.sessions
from levels import services
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from lbtransport.requests import LoadBalancingAdapter


class Adapter(LoadBalancingAdapter):
    """Ours, made as requests' own is made."""

    def __init__(
        self,
        pool_connections: int = 10,
        pool_maxsize: int = 10,
        max_retries: int | Retry = 0,
        pool_block: bool = False,
    ) -> None:
        """Send through the proxies of the session, as tests of these want it."""
        super().__init__(
            services,
            pool_connections,
            pool_maxsize,
            max_retries,
            pool_block,
            use_proxies=True,
        )
        # The argument is for what passes through; what is balanced has the balancer's
        # retries, unless somebody sets what requests itself reads.
        self.max_retries = HTTPAdapter(max_retries=max_retries).max_retries

    def get_connection_with_tls_context(self, *args: Any, **kwargs: Any) -> Any:
        """Show the pools of backends where tests count those of requests."""
        pool = super().get_connection_with_tls_context(*args, **kwargs)
        pools = self.poolmanager.pools
        if not any(pools.get(key) is pool for key in pools.keys()):  # noqa: SIM118 - it cannot be iterated over
            pools[id(pool)] = pool
        return pool


_patch = pytest.MonkeyPatch()
_patch.setattr(requests.adapters, "HTTPAdapter", Adapter)
_patch.setattr(requests.sessions, "HTTPAdapter", Adapter)
