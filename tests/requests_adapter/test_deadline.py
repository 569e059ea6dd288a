"""The deadline: over connecting, waiting for headers, and the body."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
import urllib3
from urllib3.util import Timeout

from lbtransport import RetryPolicy, options
from lbtransport._clock import ManualClock, SystemClock
from lbtransport._limits import is_limited
from tests.certificates import Authority
from tests.conftest import ServerStarter
from tests.requests_adapter.conftest import Balance
from tests.requests_adapter.kit import (
    DONE,
    orders_at,
    outcomes_of,
)
from tests.servers import (
    PATIENCE,
    Fate,
    LoopbackServer,
    Piece,
    Reply,
    hang,
    hold_hanging_port,
    reply,
)
from tests.slow import (
    KEEPS_HANGING,
    drops,
    trickle_until_close,
    trickling_body,
    trickling_chunk,
    trickling_headers,
)

DEADLINE = 0.2
UPLOAD = {"GET": None, "PUT": bytes(20_000_000)}  # more than the system's buffers hold


@pytest.mark.parametrize("in_chunks", [True, False])
def test_a_body_that_trickles_in_is_cut_at_the_deadline(
    balance: Balance, start_server: ServerStarter, in_chunks: bool
) -> None:
    clock = ManualClock()
    sent = threading.Event()

    def trickle(_: object) -> Reply:
        headers = [] if in_chunks else [("Content-Length", "1000")]
        return Reply(headers=headers, body=[b"a", sent, *[b"b"] * 999])

    service = orders_at(start_server(trickle).url, clock=clock)
    client = balance(service)

    with options(deadline=5):
        response = client.get("http://orders/", stream=True)
    chunks = response.iter_content(1)
    assert next(chunks) == b"a"
    clock.advance(6)
    sent.set()
    with pytest.raises(requests.ConnectionError, match="deadline") as raised:
        next(chunks)

    assert isinstance(raised.value.args[0], urllib3.exceptions.ReadTimeoutError)
    assert outcomes_of(service) == DONE


@dataclass(frozen=True)
class Trouble:
    """A server that never finishes.

    Attributes:
        options: Of the server.
        raises: What requests says for one of its timeouts there.
        blames: Whether it speaks against the backend.
        scheme: Of the backend.
        method: Of the request.
    """

    options: dict[str, Any]
    raises: type[Exception] = requests.ReadTimeout
    blames: bool = True
    scheme: str = "http"
    method: str = "GET"


TROUBLES = {
    # In the middle of a body, requests calls a timeout a ConnectionError.
    "trickling body": Trouble(
        {"handler": trickling_body}, requests.ConnectionError, blames=False
    ),
    "trickling chunk": Trouble(
        {"handler": trickling_chunk}, requests.ConnectionError, blames=False
    ),
    "trickle until close": Trouble(
        {"handler": trickle_until_close}, requests.ConnectionError, blames=False
    ),
    "stalled body": Trouble(
        {"handler": lambda _: Reply(body=[b"a", Fate.HANG])},
        requests.ConnectionError,
        blames=False,
    ),
    "trickling headers": Trouble({"handler": trickling_headers}),
    "no answer": Trouble({"handler": hang}),
    "stalled upload": Trouble({"on_headers": hang}, method="PUT"),
    "hanging handshake": Trouble(
        {"on_accept": lambda _: Fate.HANG}, requests.ConnectTimeout, scheme="https"
    ),
}


@pytest.mark.parametrize("is_reused", [False, True], ids=["fresh", "reused"])
@pytest.mark.parametrize("trouble", TROUBLES.values(), ids=TROUBLES)
def test_passed_deadline_is_a_timeout_and_leaves_nothing_behind(
    balance: Balance, start_server: ServerStarter, trouble: Trouble, is_reused: bool
) -> None:
    server = start_server()
    service = orders_at(
        f"{trouble.scheme}://{server.authority}", clock=SystemClock(), retry=False
    )
    client = balance(service, pool_maxsize=1)
    earlier = 0
    if is_reused and trouble.scheme == "http":
        client.get("http://orders/")
        earlier = 1
    for name, value in trouble.options.items():
        setattr(server, name, value)

    with options(deadline=DEADLINE), pytest.raises(trouble.raises) as caught:
        client.session.request(
            trouble.method, "http://orders/", data=UPLOAD[trouble.method], timeout=60
        )
    outcomes = outcomes_of(service)
    server.on_accept = server.on_headers = None
    server.handler = reply(body=b"well")
    if trouble.scheme == "http":
        assert client.get("http://orders/").content == b"well"

    assert outcomes == (earlier + 1, int(trouble.blames), 0)
    assert not is_limited()
    assert "imed out" in str(caught.value) or "timeout" in str(caught.value)


@KEEPS_HANGING
def test_connecting_ends_at_the_deadline(balance: Balance) -> None:
    with hold_hanging_port() as port:
        service = orders_at(
            f"http://127.0.0.1:{port}", clock=SystemClock(), retry=False
        )
        client = balance(service)
        with options(deadline=DEADLINE), pytest.raises(requests.ConnectTimeout):
            client.get("http://orders/", timeout=60)


@KEEPS_HANGING
def test_all_addresses_of_a_name_share_what_is_left(
    balance: Balance, resolve: Callable[..., None]
) -> None:
    resolve("many", ["127.0.0.1"] * 100)
    began = time.monotonic()

    with hold_hanging_port() as port:
        service = orders_at(f"http://many:{port}", clock=SystemClock(), retry=False)
        client = balance(service)
        with options(deadline=DEADLINE), pytest.raises(requests.ConnectTimeout):
            client.get("http://orders/", timeout=60)

    assert time.monotonic() - began < PATIENCE  # 20 s, if each had its own


def test_another_address_of_a_name_is_tried(
    balance: Balance, server: LoopbackServer, resolve: Callable[..., None]
) -> None:
    resolve("two", ["127.0.0.2", "127.0.0.1"])
    client = balance(orders_at(f"http://two:{server.port}", clock=SystemClock()))

    with options(deadline=PATIENCE):
        assert client.get("http://orders/").ok


def test_name_without_an_address_is_requests_own_error(
    balance: Balance, resolve: Callable[..., None]
) -> None:
    resolve("none", [])
    client = balance(orders_at("http://none:80", clock=SystemClock(), retry=False))

    with options(deadline=PATIENCE), pytest.raises(requests.ConnectionError):
        client.get("http://orders/")


def test_waiting_for_a_connection_ends_at_the_deadline_and_blames_nobody(
    balance: Balance, start_server: ServerStarter
) -> None:
    gate = threading.Event()
    server = start_server(lambda _: Reply(body=[b"one", gate, b"two"]))
    service = orders_at(server.url, clock=SystemClock(), retry=False)
    client = balance(service, pool_maxsize=1, pool_block=True)

    held = client.get("http://orders/", stream=True)
    with options(deadline=DEADLINE), pytest.raises(requests.ConnectTimeout) as caught:
        client.get("http://orders/")
    gate.set()

    assert held.content == b"onetwo"
    assert caught.value.request is not None
    assert outcomes_of(service) == (2, 0, 0)


def test_retries_do_not_sleep_past_the_deadline(
    balance: Balance, start_server: ServerStarter
) -> None:
    server = start_server(reply(503))
    patient = RetryPolicy(attempts=1000, min_wait=0.05, budget_ratio=None)
    service = orders_at(server.url, clock=SystemClock(), retry=patient)
    client = balance(service)

    with options(deadline=DEADLINE), suppress(requests.Timeout):  # in the last attempt
        assert client.get("http://orders/").status_code == 503

    assert len(server.requests) < 1000


def test_attempt_that_takes_too_long_is_made_elsewhere(
    balance: Balance, start_server: ServerStarter
) -> None:
    slow, quick = start_server(trickling_headers), start_server(reply(body=b"quick"))
    hasty = RetryPolicy(attempt_timeout=DEADLINE)
    service = orders_at(slow.url, quick.url, retry=hasty)

    assert balance(service).get("http://orders/").content == b"quick"

    assert outcomes_of(service) == (2, 1, 0)


@pytest.mark.parametrize("timeout", [None, 60, (60, 60), Timeout(total=60)], ids=repr)
def test_body_may_take_longer_than_an_attempts_timeout(
    balance: Balance, start_server: ServerStarter, timeout: Any
) -> None:
    def answer(_: object) -> Reply:
        def pieces() -> Iterator[Piece]:
            yield b"head"
            time.sleep(3 * DEADLINE)  # it is real time that the client would end
            yield b"tail"

        return Reply(body=pieces())

    hasty = RetryPolicy(attempt_timeout=DEADLINE)
    client = balance(orders_at(start_server(answer).url, retry=hasty))

    assert client.get("http://orders/", timeout=timeout).content == b"headtail"


def test_deadline_holds_over_tls(
    balance: Balance, start_server: ServerStarter, authority: Authority, ca_file: Path
) -> None:
    context = authority.server_context("127.0.0.1")
    server = start_server(trickling_body, ssl_context=context)
    service = orders_at(server.url, clock=SystemClock(), tls_name="backend")
    client = balance(service)

    with options(deadline=DEADLINE), pytest.raises(requests.ConnectionError):
        client.get("https://orders/", verify=str(ca_file))

    assert outcomes_of(service) == DONE


def test_discarded_answer_that_trickles_holds_up_no_retry(
    balance: Balance, start_server: ServerStarter
) -> None:
    def answer(_: object) -> Iterator[bytes]:
        yield b"HTTP/1.1 503 Busy\r\nContent-Length: 8000\r\n\r\n"
        yield from drops()

    busy, well = start_server(answer), start_server(reply(body=b"well"))
    began = time.monotonic()

    client = balance(orders_at(busy.url, well.url))

    assert client.get("http://orders/").content == b"well"
    assert time.monotonic() - began < PATIENCE  # 80 s, were it read to its end


def test_a_stall_lasts_no_longer_than_the_deadline(
    balance: Balance, start_server: ServerStarter
) -> None:
    clock = ManualClock()
    silent = start_server(lambda _: Reply(body=[b"four", Fate.HANG]))
    service = orders_at(silent.url, clock=clock)
    client = balance(service)

    with options(deadline=5):
        response = client.get("http://orders/", stream=True, timeout=60)
    clock.advance(4.95)
    with pytest.raises(requests.ConnectionError):
        _ = response.content

    assert outcomes_of(service)[2] == 0


@pytest.mark.parametrize(
    "timeout",
    [None, 60, (60, 60), (60, None), Timeout(read=60), Timeout(total=60)],
    ids=repr,
)
def test_a_deadline_caps_the_callers_own_timeout(
    balance: Balance, start_server: ServerStarter, timeout: object
) -> None:
    silent = start_server(hang)
    client = balance(orders_at(silent.url, clock=SystemClock()))

    with options(deadline=0.05), pytest.raises(requests.ReadTimeout):
        client.get("http://orders/", timeout=timeout)  # type: ignore[arg-type]  # all that requests takes


@pytest.mark.parametrize("timeout", [0.05, (60, 0.05), Timeout(total=0.05)], ids=repr)
def test_a_shorter_timeout_of_the_callers_stands(
    balance: Balance, start_server: ServerStarter, timeout: object
) -> None:
    silent = start_server(hang)
    client = balance(orders_at(silent.url, retry=False))

    with options(deadline=60), pytest.raises(requests.ReadTimeout):
        client.get("http://orders/", timeout=timeout)  # type: ignore[arg-type]  # all that requests takes


def test_a_services_own_deadline_needs_no_option(
    balance: Balance, start_server: ServerStarter
) -> None:
    silent = start_server(hang)
    client = balance(orders_at(silent.url, clock=SystemClock(), deadline=0.05))

    with pytest.raises(requests.ReadTimeout):
        client.get("http://orders/")


def test_a_timeout_that_requests_refuses_is_refused_in_its_words(
    balance: Balance, server: LoopbackServer
) -> None:
    client = balance(server.url)

    with options(deadline=5), pytest.raises(ValueError, match="Invalid timeout"):
        client.get("http://orders/", timeout=(1, 2, 3))  # type: ignore[arg-type]  # on purpose
