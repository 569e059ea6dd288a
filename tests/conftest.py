"""What every test may ask for: real servers, certificates, a clean environment."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from tests.certificates import Authority
from tests.servers import LoopbackServer, hold_refused_port, reply

# No test asserts on time, and a red CI can be repeated at home.
hypothesis.settings.register_profile("local", deadline=None)
hypothesis.settings.register_profile("ci", deadline=None, derandomize=True)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "local")

ServerStarter = Callable[..., LoopbackServer]


@pytest.fixture(scope="session", autouse=True)
def _clean_environment() -> Iterator[None]:
    """Hide the developer's proxies and services from the clients under test."""
    with pytest.MonkeyPatch.context() as patch:
        for name in os.environ:
            if name.lower().endswith("_proxy") or name.startswith("LBTRANSPORT_"):
                patch.delenv(name)
        yield


@pytest.fixture(scope="module", params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """Run each async test under both."""
    backend: str = request.param
    return backend


@pytest.fixture
def start_server() -> Iterator[ServerStarter]:
    """Start servers, with `LoopbackServer`'s arguments; the test's end closes them.

    What went wrong in a server's thread is then raised, and fails the test.
    """
    with contextlib.ExitStack() as servers:
        yield lambda *args, **kwargs: servers.enter_context(
            LoopbackServer(*args, **kwargs)
        )


@pytest.fixture
def server(start_server: ServerStarter) -> LoopbackServer:
    """Start a server that answers all with an empty 200; its handler is replaceable."""
    return start_server()


@pytest.fixture
def three_servers(start_server: ServerStarter) -> list[LoopbackServer]:
    """Start three servers whose answers' bodies are "0", "1" and "2"."""
    return [start_server(reply(body=b"%d" % number)) for number in range(3)]


@pytest.fixture
def refused_url() -> Iterator[str]:
    """Hold a port that refuses connections for the whole test; give its base URL."""
    with hold_refused_port() as held:
        host, port = held.getsockname()
        yield f"http://{host}:{port}"


@pytest.fixture(scope="session")
def authority() -> Authority:
    """Make the certificate authority of the whole run: making one is slow."""
    return Authority()


@pytest.fixture(scope="session")
def ca_file(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write what `verify=` takes to trust `authority`."""
    return authority.write_trust(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def resolve(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, list[str]], None]:
    """Have names resolve to given addresses, or to none; the others as always."""
    known: dict[str, list[str]] = {}
    ask = socket.getaddrinfo

    def answer(host: Any, *args: Any, **kwargs: Any) -> list[Any]:
        name = host.decode() if isinstance(host, bytes) else host
        if name not in known:
            return ask(host, *args, **kwargs)
        found = [ask(address, *args, **kwargs) for address in known[name]]
        if not found:
            raise socket.gaierror(socket.EAI_NONAME, "no such name")
        return [entry for entries in found for entry in entries]

    monkeypatch.setattr(socket, "getaddrinfo", answer)
    return known.__setitem__
