"""Checks of real servers, under asyncio and under trio."""

from __future__ import annotations

import asyncio
import functools
import select
import socket
import ssl
import sys
import threading
from collections.abc import Awaitable, Callable
from http.client import HTTPException
from pathlib import Path
from typing import Any

import anyio
import pytest

from lbtransport import Backend, _wires
from lbtransport._probes import Naming, make_probe
from lbtransport._upkeep import CheckFailed
from lbtransport.checks import CustomCheck, HttpCheck, TcpCheck, as_check
from tests.certificates import Authority
from tests.config_kit import SECRET
from tests.conftest import ServerStarter
from tests.servers import (
    PATIENCE,
    LoopbackServer,
    Reply,
    Request,
    garbage,
    hang,
    reply,
    reset,
    truncated_headers,
)

NAMING = Naming("orders", None, None)
SOON = 0.05  # seconds, for what never comes


async def probe(check: Any, url: str | Backend, naming: Naming = NAMING) -> None:
    backend = url if isinstance(url, Backend) else Backend(url)
    await make_probe(as_check(check), naming)(backend)


# HTTP


async def test_backend_that_answers_is_well(server: LoopbackServer) -> None:
    await probe(HttpCheck("/healthz"), server.url)

    (request,) = server.requests
    assert (request.method, request.target) == ("GET", "/healthz")
    assert request.headers["Host"] == "orders"
    server.wait_until(lambda server: not server.open_connections)


@pytest.mark.parametrize(
    ("naming", "host"),
    [
        (NAMING, "orders"),
        (Naming("orders", "literal", None), "literal"),
        (Naming("orders", "backend", None), None),
    ],
)
async def test_host_follows_the_rules_of_real_traffic(
    server: LoopbackServer, naming: Naming, host: str | None
) -> None:
    await probe(HttpCheck(), server.url, naming)

    assert server.requests[0].headers["Host"] == host or server.authority


async def test_credentials_of_a_backend_are_sent(server: LoopbackServer) -> None:
    backend = Backend(server.url, headers={"X-Key": SECRET})

    await probe(HttpCheck(), backend)

    assert server.requests[0].headers["X-Key"] == SECRET


async def test_body_in_pieces_is_read_until_it_matches(server: LoopbackServer) -> None:
    never = threading.Event()
    server.handler = reply(body=[b"all is", b" well", never])
    try:
        await probe(HttpCheck(body="is well"), server.url)
    finally:
        never.set()


@pytest.mark.parametrize(
    ("handler", "error"),
    [
        (reply(503), CheckFailed),
        (reply(302, headers=[("Location", "/login")]), CheckFailed),
        (garbage, HTTPException),
        (reset, ConnectionError),
        (truncated_headers, CheckFailed),
        (hang, TimeoutError),
    ],
    ids=["503", "302", "garbage", "reset", "truncated", "hang"],
)
async def test_backend_that_answers_badly_is_not_well(
    server: LoopbackServer, handler: Any, error: type[Exception]
) -> None:
    server.handler = handler
    timeout = SOON if handler is hang else 10.0

    with pytest.raises(error):
        await probe(HttpCheck(timeout=timeout), server.url)

    server.wait_until(lambda server: not server.open_connections)


@pytest.mark.parametrize("check", [HttpCheck(), TcpCheck()], ids=["http", "tcp"])
async def test_backend_that_refuses_is_not_well(check: Any, refused_url: str) -> None:
    with pytest.raises(OSError):
        await probe(check, refused_url)


async def test_request_that_fills_the_buffers_is_sent_on_as_they_empty() -> None:
    received = bytearray()

    def serve(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            while not received.endswith(b"\r\n\r\n"):
                received.extend(connection.recv(65536))
            connection.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        long = "a" * 16_000_000  # bytes; the system's buffers take a few millions
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        check = HttpCheck(headers={"X-Long": long}, timeout=PATIENCE)
        await probe(check, f"http://127.0.0.1:{port}")
        thread.join()

    assert f"X-Long: {long}\r\n".encode() in received


def test_check_that_is_cancelled_as_its_answer_comes_ends_without_a_word() -> None:
    asked, answer = threading.Event(), threading.Event()
    complaints: list[Any] = []

    def handle(request: Request) -> Reply:
        asked.set()
        answer.wait(PATIENCE)
        return Reply()

    async def main(server: LoopbackServer) -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda loop, context: complaints.append(context))
        task = loop.create_task(probe(HttpCheck(timeout=PATIENCE), server.url))
        await asyncio.to_thread(asked.wait, PATIENCE)
        (plain,) = _wires._open
        answer.set()
        # The loop has no turn until both are there for its next round.
        assert select.select([plain], [], [], PATIENCE)[0]
        loop.call_soon(task.cancel)
        with pytest.raises(asyncio.CancelledError):
            await task

    with LoopbackServer(handle) as server:
        asyncio.run(main(server))

    assert complaints == []


def test_socket_that_was_not_ready_after_all_is_waited_for() -> None:
    async def main() -> None:
        question = _wires._Question(Backend("http://127.0.0.1"), b"", lambda *_: False)
        one, other = socket.socketpair()
        with one, other:
            one.setblocking(False)
            question._step(question._receive, one)
        assert not question._end.done()

    asyncio.run(main())


def test_loop_that_watches_no_sockets_is_served_by_streams() -> None:
    class Blind(asyncio.SelectorEventLoop):
        add_writer = asyncio.AbstractEventLoop.add_writer  # as Windows' default one

    with LoopbackServer() as server, asyncio.Runner(loop_factory=Blind) as runner:
        runner.run(probe(HttpCheck("/healthz"), server.url))

        assert [request.target for request in server.requests] == ["/healthz"]


async def test_backend_is_found_by_its_name(server: LoopbackServer) -> None:
    await probe(HttpCheck(), f"http://localhost:{server.port}")

    assert len(server.requests) == 1


# TCP


async def test_backend_that_listens_is_well(server: LoopbackServer) -> None:
    server.handler = hang

    await probe(TcpCheck(), server.url)

    server.wait_until(lambda server: server.connections == 1)
    server.wait_until(lambda server: not server.open_connections)
    assert server.requests == []


# TLS


@pytest.fixture
def secure(start_server: ServerStarter, authority: Authority) -> LoopbackServer:
    return start_server(ssl_context=authority.server_context("orders"))


async def test_certificate_carries_the_logical_name(
    secure: LoopbackServer, ca_file: Path
) -> None:
    await probe(HttpCheck(verify=str(ca_file)), secure.url)

    assert secure.server_names == ["orders"]


async def test_certificate_with_another_name_is_not_believed(
    secure: LoopbackServer, ca_file: Path
) -> None:
    naming = Naming("orders", None, "other")

    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        await probe(HttpCheck(verify=str(ca_file)), secure.url, naming)


async def test_certificate_of_the_backends_own_name(
    start_server: ServerStarter, authority: Authority, ca_file: Path
) -> None:
    server = start_server(ssl_context=authority.server_context("127.0.0.1"))
    backend = Backend(server.url, tls_name="backend")
    check = HttpCheck(verify=str(ca_file))

    await probe(check, backend)
    probe_again = make_probe(check, NAMING)
    await probe_again(backend)
    await probe_again(backend)  # with the same context

    assert len(server.requests) == 3


async def test_certificate_of_nobody_we_know_is_not_believed(
    secure: LoopbackServer,
) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        await probe(HttpCheck(), secure.url)


async def test_certificates_may_be_believed_unseen(secure: LoopbackServer) -> None:
    await probe(HttpCheck(verify=False), secure.url)

    assert len(secure.requests) == 1


async def test_authorities_may_be_a_context_or_a_folder(
    secure: LoopbackServer, authority: Authority, tmp_path: Path
) -> None:
    await probe(HttpCheck(verify=authority.client_context()), secure.url)

    with pytest.raises(ssl.SSLCertVerificationError):
        await probe(HttpCheck(verify=str(tmp_path)), secure.url)

    assert len(secure.requests) == 1


# Functions

BACKEND = Backend("http://10.0.0.1")
Function = Callable[[Backend], Any]


def plain(answer: object) -> Function:
    return lambda backend: answer


def coroutine(answer: object) -> Function:
    async def check(backend: Backend) -> object:
        await anyio.lowlevel.checkpoint()
        return answer

    return check


def awaitable(answer: object) -> Function:
    check: Callable[[Backend], Awaitable[object]] = coroutine(answer)

    def plain_at_first_sight(backend: Backend) -> Awaitable[object]:
        return check(backend)

    return plain_at_first_sight


class CallableObject:
    def __init__(self, answer: object) -> None:
        self.answer = answer
        self.thread: threading.Thread | None = None

    async def __call__(self, backend: Backend) -> object:
        self.thread = threading.current_thread()
        return self.answer


KINDS: dict[str, Callable[[object], Function]] = {
    "plain": plain,
    "coroutine": coroutine,
    "awaitable": awaitable,
    "partial": lambda answer: functools.partial(coroutine(answer)),
    "object": CallableObject,
}
every_kind = pytest.mark.parametrize("kind", KINDS)


@every_kind
@pytest.mark.parametrize("answer", [True, None, 1, "yes"])
async def test_function_that_says_yes_or_nothing_is_a_pass(
    kind: str, answer: object
) -> None:
    await probe(KINDS[kind](answer), BACKEND)


@every_kind
@pytest.mark.parametrize("answer", [False, 0, ""])
async def test_function_that_says_no_is_a_failure(kind: str, answer: object) -> None:
    with pytest.raises(CheckFailed, match="the function said no"):
        await probe(KINDS[kind](answer), BACKEND)


async def test_object_that_is_called_with_await_stays_in_the_loop() -> None:
    check = CallableObject(True)

    await probe(check, BACKEND)

    assert check.thread is threading.current_thread()


async def test_function_that_blocks_runs_in_a_thread_and_gets_the_backend() -> None:
    seen: list[tuple[Backend, threading.Thread]] = []

    await probe(lambda b: seen.append((b, threading.current_thread())), BACKEND)

    ((backend, thread),) = seen
    assert backend is BACKEND
    assert thread is not threading.current_thread()


@pytest.mark.parametrize("is_async", [False, True])
async def test_function_that_raises_is_a_failure(is_async: bool) -> None:
    async def fail_later(backend: Backend) -> None:
        raise ZeroDivisionError

    def fail(backend: Backend) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await probe(fail_later if is_async else fail, BACKEND)


@pytest.mark.parametrize("is_direct", [False, True])
async def test_coroutine_that_never_ends_is_out_of_time(is_direct: bool) -> None:
    async def wait(backend: Backend) -> None:
        await anyio.sleep_forever()

    def begin_to_wait(backend: Backend) -> Awaitable[None]:
        return wait(backend)

    function: Function = wait if is_direct else begin_to_wait

    with pytest.raises(TimeoutError):
        await probe(CustomCheck(function, timeout=SOON), BACKEND)


async def test_function_that_is_stuck_is_not_called_again_until_it_returns() -> None:
    gate, calls = threading.Event(), list[str]()

    def check(backend: Backend) -> None:
        calls.append(backend.url)
        if backend is BACKEND:
            gate.wait(30)

    other = Backend("http://10.0.0.2")
    ask = make_probe(CustomCheck(check, timeout=SOON), NAMING)
    for _ in range(3):
        with pytest.raises(TimeoutError):
            await ask(BACKEND)
    await ask(other)
    gate.set()
    with anyio.fail_after(10):
        while calls.count(BACKEND.url) < 2:
            try:
                await ask(BACKEND)
            except TimeoutError:
                await anyio.sleep(0.01)

    assert calls == [BACKEND.url, other.url, BACKEND.url]


async def test_coroutine_that_exits_ends_the_program_of_the_main_thread() -> None:
    async def check(backend: Backend) -> None:
        raise KeyboardInterrupt

    caught = False
    try:
        await make_probe(CustomCheck(check), NAMING)(BACKEND)
    except KeyboardInterrupt:  # before the test's own loop sees it
        caught = True

    assert caught


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt])
def test_coroutine_that_exits_ends_nothing_elsewhere(
    error: type[BaseException],
) -> None:
    async def check(backend: Backend) -> None:
        raise error

    caught: list[BaseException] = []

    def run() -> None:
        try:
            anyio.run(probe, check, BACKEND)
        except BaseException as failure:  # noqa: BLE001 - looked at below
            caught.append(failure)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(10)

    (failure,) = caught
    assert isinstance(failure, CheckFailed)
    assert str(failure) == error.__name__


def test_coroutine_that_cancels_itself_is_a_failure_under_asyncio() -> None:
    async def check(backend: Backend) -> None:
        asyncio = sys.modules["asyncio"]
        raise asyncio.CancelledError

    with pytest.raises(CheckFailed, match="cancelled itself"):
        anyio.run(probe, check, BACKEND)


async def test_check_can_be_cancelled(server: LoopbackServer) -> None:
    server.handler = hang
    gate = threading.Event()

    async def wait(backend: Backend) -> None:
        await anyio.sleep_forever()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(probe, HttpCheck(timeout=600), server.url)
        tasks.start_soon(probe, lambda backend: gate.wait(30), server.url)
        tasks.start_soon(probe, wait, server.url)
        await anyio.to_thread.run_sync(
            server.wait_until, lambda server: len(server.requests) == 1
        )
        tasks.cancel_scope.cancel()

    gate.set()
    server.wait_until(lambda server: not server.open_connections)
