"""Carrying out a check once, within its time, under asyncio and under trio.

Not here: when, and what follows from it (`_upkeep`).
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import inspect
import ssl
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lbtransport._calls import ThreadCall, threads
from lbtransport._drive import perform_async
from lbtransport._effects import Wait
from lbtransport._http_check import is_answered, request_of
from lbtransport._loops import running_trio
from lbtransport._types import Backend, Signal
from lbtransport._types.naming import names_of
from lbtransport._upkeep import CheckFailed, Probe
from lbtransport._wires import ask
from lbtransport.checks import CustomCheck, HttpCheck, TcpCheck


@dataclass(frozen=True, slots=True)
class Naming:
    """What a service says of the names under which its backends are called.

    Attributes:
        service: The service's own name.
        host: What it says of the ``Host`` header.
        tls_name: What it says of the name in certificates.
    """

    service: str
    host: str | None
    tls_name: str | None


def make_probe(check: HttpCheck | TcpCheck | CustomCheck, naming: Naming) -> Probe:
    """Return what carries out `check` once, for the backend that it is given."""
    if isinstance(check, CustomCheck):
        if inspect.iscoroutinefunction(check.function) or inspect.iscoroutinefunction(
            getattr(check.function, "__call__", None)  # noqa: B004 - not whether it is there, but of which kind
        ):
            return _AsyncFunction(check)
        return _Function(check)
    return _Http(check, naming) if isinstance(check, HttpCheck) else _Tcp(check)


class _Tcp:
    def __init__(self, check: TcpCheck) -> None:
        self._check = check

    async def __call__(self, backend: Backend) -> None:
        async with _within(self._check.timeout):
            await ask(backend, b"", lambda received, is_all: True)


class _Http:
    def __init__(self, check: HttpCheck, naming: Naming) -> None:
        self._check = check
        self._naming = naming
        self._context: ssl.SSLContext | None = None

    async def __call__(self, backend: Backend) -> None:
        check, naming = self._check, self._naming
        host, tls_name = names_of(
            backend, naming.service, host=naming.host, tls_name=naming.tls_name
        )
        if backend.scheme == "https" and self._context is None:
            self._context = _make_context(check.verify)
        context = self._context if backend.scheme == "https" else None
        request = request_of(check, backend, host)
        is_well = functools.partial(is_answered, check)
        async with _within(check.timeout):
            await ask(backend, request, is_well, context, tls_name)


def _make_context(verify: bool | str | ssl.SSLContext) -> ssl.SSLContext:
    if isinstance(verify, ssl.SSLContext):
        return verify
    if verify is True:
        return ssl.create_default_context()
    if verify is False:
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context
    if Path(verify).is_dir():
        return ssl.create_default_context(capath=verify)
    return ssl.create_default_context(cafile=verify)


class _AsyncFunction:
    def __init__(self, check: CustomCheck) -> None:
        self._check = check

    async def __call__(self, backend: Backend) -> None:
        async with _within(self._check.timeout):
            _judge(await _contained(self._check.function(backend)))


class _Function:
    """A function that blocks, or nobody knows."""

    def __init__(self, check: CustomCheck) -> None:
        self._check = check
        self._stuck: dict[str, ThreadCall] = {}

    async def __call__(self, backend: Backend) -> None:
        timeout = self._check.timeout
        stuck = self._stuck.get(backend.url)
        if stuck is not None:
            if not stuck.ended.is_set:
                raise TimeoutError
            del self._stuck[backend.url]
        call = threads.call(self._check.function, backend)
        try:
            # Its time begins with it: who waits for a thread is not to blame.
            await _came(call.started, None)
            if not await _came(call.ended, timeout):
                self._stuck[backend.url] = call
                raise TimeoutError
        finally:
            call.write_off()
        result = call.result()
        if inspect.isawaitable(result):
            async with _within(timeout):
                result = await _contained(result)
        _judge(result)


def _judge(result: object) -> None:
    if result is not None and not result:
        raise CheckFailed("the function said no")


async def _came(signal: Signal, timeout: float | None) -> bool:
    came: bool = await perform_async(Wait(signal, timeout), None)
    return came


async def _contained(awaitable: Awaitable[Any]) -> Any:
    """Await what a user wrote, and let it end nothing but itself."""
    try:
        return await awaitable
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise CheckFailed("cancelled itself") from error
    except (SystemExit, KeyboardInterrupt) as error:
        # In the main thread it may come from a signal, and is meant for the program.
        if threading.current_thread() is threading.main_thread():
            raise
        raise CheckFailed(type(error).__name__) from error


@contextlib.asynccontextmanager
async def _within(seconds: float) -> AsyncIterator[None]:
    """Raise TimeoutError in the block when its time is over."""
    trio = running_trio()
    if trio is None:
        async with asyncio.timeout(seconds):
            yield
        return
    with trio.move_on_after(seconds) as scope:
        yield
    if scope.cancelled_caught:
        raise TimeoutError


async def in_thread(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function in a thread of the small pool; return what it returns."""
    call = threads.call(function, *arguments)
    try:
        await _came(call.ended, None)
    finally:
        call.write_off()
    return call.result()
