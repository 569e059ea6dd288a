"""Every line of the table, with every client, each request and each body."""

from __future__ import annotations

import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from lbtransport import LoadBalancer, Stage
from tests.certificates import Authority
from tests.conftest import ServerStarter
from tests.httpx_family.kinds import orders_at
from tests.retry_table.clients import CLIENTS, Ask, Got, Order
from tests.retry_table.misbehaving import NOBODY, UNKNOWN_NAME, VICES, misbehaving
from tests.retry_table.table import REFUSALS, REQUESTS, Line, Request, lines
from tests.servers import PATIENCE, reply

SMALL = b"the whole body"
LARGE = SMALL * 320_000  # more than a socket's buffers hold, 4 MB at most

CASES = [
    pytest.param(line, ask, id=f"{name}-{line}")
    for name, (family, ask) in CLIENTS.items()
    for line in lines(family)
]


@pytest.fixture(autouse=True)
def _unknown_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """Know one name without asking the machine's resolver, which may ask the world."""
    resolve = socket.getaddrinfo

    def look_up(host: Any, *args: Any, **kwargs: Any) -> Any:
        if host in {UNKNOWN_NAME, UNKNOWN_NAME.encode()}:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return resolve(host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)


@pytest.mark.parametrize(("line", "ask"), CASES)
def test_what_is_sent_again_is_what_the_table_says(
    line: Line,
    ask: Ask,
    start_server: ServerStarter,
    authority: Authority,
    ca_file: Path,
) -> None:
    second = start_server(reply(body=b"second"))

    with misbehaving(line.what, authority) as first:
        content = LARGE if first.vice.is_large else SMALL

        def run(request: Request) -> tuple[Got, LoadBalancer]:
            service = orders_at(first.url, second.url)
            order = Order(
                request,
                content,
                first.vice.patience or PATIENCE,
                first.wait_for_idle if first.vice.is_kept else None,
                authority,
                ca_file,
            )
            return ask(service, order), service

        # Side by side where they wait, and else one by one.
        with ThreadPoolExecutor(12 if first.vice.patience else 1) as pool:
            results = list(pool.map(run, REQUESTS))

        for request, (got, service) in zip(REQUESTS, results, strict=True):
            target = f"/{request}"
            reads = first.requests(target)
            repeats = [one for one in second.requests if one.target == target]
            is_repeated = line.is_repeated(request)
            if line.is_a_race(request):
                is_repeated = got.what == "200 second"
            assert (len(reads), len(repeats)) == (line.read, is_repeated), request
            expected = {"200 second"} if is_repeated else line.unrepeated
            assert got.what in expected, request
            assert _stages(got, line) == [line.stage, Stage.ANSWERED][: 1 + is_repeated]
            assert _health(service) == (line.is_blamed, 0, 0), request
            bodies = [one.body for one in (*reads, *repeats)]
            if first.reads_all:
                assert all(content in body for body in bodies), request
                assert len({len(body) for body in bodies}) <= 1, request


def _stages(got: Got, line: Line) -> list[Stage]:
    """Return how far each attempt had got; requests' error in a body does not tell."""
    stages = [attempt.stage for attempt in got.attempts]
    return stages or [line.stage]


def _health(service: LoadBalancer) -> tuple[int, int, int]:
    """Return the failures of both backends, and what is in flight."""
    first, second = service.stats().backends
    return first.failures, second.failures, first.in_flight + second.in_flight


@pytest.mark.parametrize("family", ["requests", "httpx"])
def test_nothing_that_may_have_been_processed_is_processed_twice(family: str) -> None:
    posts = [one for one in REQUESTS if not one.is_idempotent]

    twice = {
        line.what
        for line in lines(family)
        for post in posts
        if line.is_repeated(post) and line.read > 0
    }

    assert twice == REFUSALS


def test_table_and_servers_speak_of_the_same() -> None:
    told = {line.what for family in ("requests", "httpx") for line in lines(family)}

    assert told == VICES.keys() | NOBODY.keys()
