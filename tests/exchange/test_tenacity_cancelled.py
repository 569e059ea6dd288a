"""A cancelled task, wherever it stands in a user's own tenacity object."""

from __future__ import annotations

from typing import Any

import anyio
import pytest
import tenacity

from lbtransport import Backend
from tests.core_kit import A, B, in_flight, make_service
from tests.exchange.kit import refused

PLACES = ["before", "retry", "after", "wait", "stop", "before_sleep", "sleep"]


async def test_cancellation_is_put_to_no_predicate() -> None:
    seen: list[object] = []

    async def greedy(error: BaseException) -> bool:
        seen.append(error)
        return True

    own = tenacity.AsyncRetrying(retry=tenacity.asyncio.retry_if_exception(greedy))
    service = make_service([A, B], retry=own)

    async def hang(backend: Backend) -> None:
        await anyio.sleep_forever()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(service.execute_async, hang)
        await anyio.wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()

    assert seen == []
    assert in_flight(service) == 0
    assert [one.failures for one in service.stats().backends] == [0, 0]


@pytest.mark.parametrize("place", PLACES)
async def test_cancelled_while_a_callback_awaits_it_ends_there(place: str) -> None:
    reached: list[str] = []

    async def hang(*arguments: object) -> None:
        reached.append(place)
        await anyio.sleep_forever()

    callback: dict[str, Any] = {place: hang}
    own = tenacity.AsyncRetrying(**callback)
    service, called = make_service([A, B], retry=own), list[Backend]()

    async def fail(backend: Backend) -> None:
        called.append(backend)
        raise refused()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(service.execute_async, fail)
        await anyio.wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()

    assert reached == [place]
    assert len(called) == (place != "before")
    assert in_flight(service) == 0
