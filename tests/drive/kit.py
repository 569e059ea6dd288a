"""What the tests of the drivers share: couriers that note their effects."""

from __future__ import annotations

import functools
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, Self, TypeAlias

import anyio
import pytest
import tenacity
from anyio.lowlevel import checkpoint

from lbtransport import Backend
from lbtransport._drive import drive, drive_async
from lbtransport._effects import Effect
from tests.core_kit import A

BACKEND = Backend(A)
PATIENCE = 10.0  # seconds, for what takes none

Trace: TypeAlias = list[tuple[str, object]]
Steps: TypeAlias = Generator[Effect, Any, Any]


def ask_for(*effects: Effect, trace: Trace) -> Steps:
    """Yield effects; note what each of them came to."""
    for effect in effects:
        name = type(effect).__name__
        try:
            result = yield effect
        except BaseException as error:  # noqa: BLE001 - also what is no Exception
            trace.append((name, type(error).__name__))
        else:
            trace.append((name, result))
    return "the end"


@dataclass
class Courier:
    """Answers a request with the backend and the timeout; `error` spoils everything."""

    error: BaseException | None = None

    def twin(self) -> Self:
        return self

    def adopt(self, twin: Self) -> None:
        pass

    def send(self, backend: Backend, timeout: float | None) -> Any:
        if self.error is not None:
            raise self.error
        return (backend.url, timeout)

    def close(self, response: Any) -> None:
        if self.error is not None:
            raise self.error
        response.closed += 1


@dataclass
class AsyncCourier:
    """The same for tasks."""

    error: BaseException | None = None

    def twin(self) -> Self:
        return self

    def adopt(self, twin: Self) -> None:
        pass

    async def send(self, backend: Backend, timeout: float | None) -> Any:
        await checkpoint()
        return Courier(self.error).send(backend, timeout)

    async def close(self, response: Any) -> None:
        await checkpoint()
        Courier(self.error).close(response)


def run_sync(
    make: Callable[[Trace], Steps], error: BaseException | None
) -> tuple[Any, Trace]:
    trace: Trace = []
    return drive(make(trace), Courier(error)), trace


def run_async(
    backend: str, make: Callable[[Trace], Steps], error: BaseException | None
) -> tuple[Any, Trace]:
    trace: Trace = []
    end = anyio.run(drive_async, make(trace), AsyncCourier(error), backend=backend)
    return end, trace


DRIVERS: dict[str, Callable[..., tuple[Any, Trace]]] = {
    "threads": run_sync,
    "asyncio": functools.partial(run_async, "asyncio"),
    "trio": functools.partial(run_async, "trio"),
}
every_driver = pytest.mark.parametrize("driver", DRIVERS)


def interrupt(*arguments: object) -> Any:
    raise KeyboardInterrupt


def make_awaiting(**options: Any) -> tenacity.AsyncRetrying:
    return tenacity.AsyncRetrying(stop=tenacity.stop_after_attempt(3), **options)
