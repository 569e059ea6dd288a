"""A preference: the backend that asked a question gets to hear the answer.

A challenge is a backend's own: the nonce of a digest, the state of a longer handshake.
Elsewhere the answer to it only brings the next challenge, and so for ever.

Not here: which answers are challenges (`lbtransport.requests`).

References:
    RFC 7616, 3.3, on the nonce.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable
from contextlib import suppress
from typing import Any, TypeVar

from requests.adapters import HTTPAdapter

from lbtransport._balancer import Balancer
from lbtransport._errors import NoBackendsAvailable
from lbtransport._selection import Selection
from lbtransport._types import Backend

AdapterT = TypeVar("AdapterT", bound=HTTPAdapter)


def answering(adapter: AdapterT, url: str) -> AdapterT:
    """Return an adapter once more, to answer what the backend at `url` asked.

    It is the same in all but its choice of a backend: the same class, connections and
    services.
    """
    twin = type(adapter).__new__(type(adapter))
    twin.__dict__.update(adapter.__dict__, _preferred=url, _original=adapter)
    return twin


class Preferring:
    """A balancer, to an exchange whose first attempt should go to a certain backend.

    A preference and no more: if that one is no candidate, the strategy chooses as
    always, and what follows a failure is none of its business.
    """

    def __init__(self, balancer: Balancer, url: str) -> None:
        """Stand in for `balancer`, to prefer the backend at `url` once."""
        self._balancer = balancer
        self._url: str | None = url

    def __getattr__(self, name: str) -> Any:
        """Be the balancer in all other respects."""
        return getattr(self._balancer, name)

    def select(
        self,
        key: Hashable = None,
        exclude: Collection[Backend] = (),
        *,
        against_evidence: bool = False,
    ) -> Selection:
        """Take the preferred backend at first if it is a candidate, else any.

        Raises:
            NoBackendsAvailable: If there is none.
        """
        url, self._url = self._url, None
        if url is not None:
            backends = self._balancer.backends
            others = [backend for backend in backends if backend.url != url]
            with suppress(NoBackendsAvailable):
                return self._balancer.select(key, others)
        return self._balancer.select(key, exclude, against_evidence=against_evidence)
