"""Keys out of requests, for all clients: what is asked, and where it must arrive."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lbtransport import Backend, LoadBalancer
from lbtransport.strategies import Candidates, Member
from tests.requests_adapter.kit import InOrder
from tests.servers import LoopbackServer

URL = "http://orders/items"
STRATEGY = "maglev;table_size=251"

USERS = [f"user-{number}" for number in range(16)]
AWKWARD = ["a b", "ü~€'()", "a;b@c:d"]


@dataclass(frozen=True)
class Case:
    """A rule, and requests that it finds keys in.

    Attributes:
        rule: What the balancer is given.
        values: Each is the key of a request, and so is what stands in it.
        method: The requests'.
        url: That of the request whose key is a value.
        options: What else the client is given for it.
    """

    rule: Any
    values: Sequence[str]
    method: str = "GET"
    url: Callable[[str], str] = lambda value: URL
    options: Callable[[str], dict[str, Any]] = lambda value: {}

    def request_of(self, value: str) -> tuple[tuple[str, str], dict[str, Any]]:
        """Return the arguments of the client's `request`."""
        return (self.method, self.url(value)), self.options(value)


def _header(value: str) -> dict[str, Any]:
    return {"headers": {"X-User": value}}


def _chat(value: str) -> dict[str, Any]:
    return {"json": {"model": "small", "messages": [{"content": value + "!" * 300}]}}


CASES = {
    "header": Case("header:x-user", USERS, options=_header),
    "cookie": Case(
        "cookie:session",
        USERS,
        options=lambda value: {"headers": {"Cookie": f"theme=dark; session={value}"}},
    ),
    "path": Case(
        "path",
        [f"/{value}" for value in USERS + AWKWARD],
        url=lambda value: f"http://orders{value}?page=2#top",
    ),
    "query": Case(
        "query:user",
        [*USERS, *AWKWARD, "a&b=c", "%2F+"],
        options=lambda value: {"params": {"page": "2", "user": value}},
    ),
    "json": Case(
        "json:messages.0.content:9",
        [value.ljust(9, "!") for value in [*USERS, *AWKWARD, '"\\ud800"']],
        method="POST",
        options=_chat,
    ),
    "several": Case("cookie:session, header:X-User", USERS, options=_header),
    "function": Case(
        lambda request: request.headers.get("X-User"), USERS, options=_header
    ),
}
each_case = pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))


def orders_by(rule: Any, servers: Sequence[LoopbackServer]) -> LoadBalancer:
    """Make the service "orders", which hashes by a rule."""
    urls = [server.url for server in servers]
    return LoadBalancer("orders", urls, strategy=STRATEGY, key=rule)


def homes_of(keys: Sequence[str], servers: Sequence[LoopbackServer]) -> list[str]:
    """Return what `three_servers` answer if each key arrives where it belongs.

    Another balancer is asked, so that what agrees with it agrees everywhere.
    """
    urls = [server.url for server in servers]
    other = LoadBalancer("other", urls, strategy=STRATEGY)
    homes = []
    for key in keys:
        with other.select(key=key) as selection:
            homes.append(str(urls.index(selection.backend.url)))
    assert len(set(homes)) > 1
    return homes


class Remembering(InOrder):
    """A strategy without chance that remembers the keys it was given."""

    unkeyed = 0

    def __init__(self, urls: Sequence[str]) -> None:
        super().__init__(urls)
        self.keys: list[Hashable] = []

    def choose(self, candidates: Candidates, **asked: Any) -> Member:
        self.keys.append(asked["key"])
        return super().choose(candidates, **asked)


def remembering(
    rule: Any, *backends: str | Backend
) -> tuple[LoadBalancer, list[Hashable]]:
    """Make the service "orders"; return it, and the list of its keys as it grows."""
    made = [one if isinstance(one, Backend) else Backend(one) for one in backends]
    strategy = Remembering([backend.url for backend in made])
    return LoadBalancer("orders", made, strategy=strategy, key=rule), strategy.keys


def configure_by_environment(
    servers: Sequence[LoopbackServer], patch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Configure the service "orders", which hashes by a header or by the path."""
    patch.setenv("LBTRANSPORT_SERVICES", "orders")
    urls = " ".join(server.url for server in servers)
    patch.setenv("LBTRANSPORT_ORDERS_BACKENDS", urls)
    patch.setenv("LBTRANSPORT_ORDERS_STRATEGY", STRATEGY)
    patch.setenv("LBTRANSPORT_ORDERS_KEY", "header:X-User, path")


def configure_by_file(
    servers: Sequence[LoopbackServer], patch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Do the same, in TOML."""
    file = tmp_path / "lb.toml"
    urls = json.dumps([server.url for server in servers])
    file.write_text(
        f'[defaults]\nstrategy = "{STRATEGY}"\n'
        f'[services.orders]\nbackends = {urls}\nkey = ["header:X-User", "path"]\n'
    )
    patch.setenv("LBTRANSPORT_CONFIG", str(file))


each_configuration = pytest.mark.parametrize(
    "configure", [configure_by_environment, configure_by_file]
)

SECRET = "Bearer s3cr3t"


class Onlooker:
    """Notes all that is said of a service whose key is a secret."""

    def __init__(self, url: str, caplog: pytest.LogCaptureFixture) -> None:
        self.service = LoadBalancer(
            "orders", [url], strategy="rendezvous", key="header:Authorization"
        )
        self._events: list[object] = []
        self.service.subscribe(self._events.append)
        self._caplog = caplog
        caplog.set_level(logging.DEBUG, "lbtransport")

    def noted(self) -> str:
        """Return it."""
        service, records = self.service, self._caplog.records
        ours = [r.getMessage() for r in records if r.name.startswith("lbtransport")]
        assert ours
        assert self._events
        return repr([ours, self._events, service, service.key_rule, service.stats()])
