"""What `execute` repeats: any callable that takes a backend, as an exchange's job."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable
from typing import Any, Self

from lbtransport._balancer import Balancer
from lbtransport._options import Options
from lbtransport._types import Backend, Outcome
from lbtransport._types.exceptions import outcome_of_exception


class _Callable:
    """What both kinds share: the answers to what the exchange asks."""

    method = ""  # it has none: what the caller declares decides

    def __init__(
        self,
        options: Options,
        deadline: float | None,
        *,
        key: Hashable,
        idempotent: bool,
        failure_statuses: frozenset[int],
    ) -> None:
        self._failure_statuses = failure_statuses
        self.key = options.key if key is None else key
        self.deadline = deadline if options.deadline is None else options.deadline
        declared = options.idempotent
        self.is_declared_idempotent = idempotent if declared is None else declared

    def can_replay(self) -> bool:
        return True

    def outcome_of(self, response: Any, balancer: Balancer) -> Outcome:
        return balancer.judge.outcome_of_result(response)

    def outcome_of_error(self, error: Exception) -> Outcome:
        return outcome_of_exception(error, self._failure_statuses)

    def can_race(self) -> bool:
        return True

    def twin(self) -> Self:
        """Return itself: nothing is remembered from one call to the next."""
        return self

    def adopt(self, twin: Self) -> None:
        """Go on."""

    def is_answer(self, answer: Any) -> bool:
        return True  # a function may return anything


class Task(_Callable):
    """A function, called in a thread."""

    def __init__(self, fn: Callable[[Backend], Any], *args: Any, **kwargs: Any) -> None:
        """Repeat `fn`; the rest says how."""
        super().__init__(*args, **kwargs)
        self._fn = fn

    def send(self, backend: Backend, timeout: float | None) -> Any:
        """Call the function; what it does with its time is its own business."""
        return self._fn(backend)

    def close(self, response: Any) -> None:
        """Leave what a user's function returned to its user."""


class AsyncTask(_Callable):
    """An async function, awaited in a task."""

    def __init__(
        self, fn: Callable[[Backend], Awaitable[Any]], *args: Any, **kwargs: Any
    ) -> None:
        """Repeat `fn`; the rest says how."""
        super().__init__(*args, **kwargs)
        self._fn = fn

    async def send(self, backend: Backend, timeout: float | None) -> Any:
        """Await the function; what it does with its time is its own business."""
        return await self._fn(backend)

    async def close(self, response: Any) -> None:
        """Leave what a user's function returned to its user."""
