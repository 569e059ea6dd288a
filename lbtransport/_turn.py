"""Waiting for one's turn, where no backend has room: a generator of effects."""

from __future__ import annotations

import math
from collections.abc import Collection, Generator, Hashable
from typing import Any

from lbtransport._balancer import Balancer
from lbtransport._effects import Effect, Wait
from lbtransport._errors import NoBackendsAvailable
from lbtransport._queue import Queue
from lbtransport._selection import Selection
from lbtransport._types import Backend


def select_in_turn(
    balancer: Balancer, key: Hashable, tried: Collection[Backend], ends_at: float
) -> Generator[Effect, Any, Selection]:
    """Select a backend, and wait until one has room if there is a queue for it.

    Args:
        balancer: The service.
        key: What the request is to be spread by.
        tried: Backends that are taken only if those that have room are among them.
        ends_at: Instant of the deadline; infinity if there is none.

    Raises:
        NoBackendsAvailable: If there is none, or none had room in time, or too many
            wait already.
    """
    try:
        return balancer.select(key)
    except NoBackendsAvailable:
        if balancer.queue is None:
            raise
    return (yield from _await_turn(balancer, balancer.queue, key, tried, ends_at))


def _await_turn(
    balancer: Balancer,
    queue: Queue,
    key: Hashable,
    tried: Collection[Backend],
    ends_at: float,
) -> Generator[Effect, Any, Selection]:
    clock = balancer.clock
    timeout = math.inf if queue.timeout is None else queue.timeout
    gives_up_at = min(ends_at, clock.monotonic() + timeout)
    ticket = queue.enter(key, tried)
    try:
        while (result := queue.look(ticket)) is None:
            now = clock.monotonic()
            if now >= gives_up_at:
                is_late = now >= ends_at
                result = queue.leave(ticket) or _refusal(
                    balancer.name, queue, is_late=is_late
                )
                break
            wakes_at = min(gives_up_at, queue.look_again_at(ticket))
            yield Wait(ticket.signal, max(0.0, wakes_at - now))
    except GeneratorExit:
        raise  # perhaps the collector's doing, which must meet no lock
    except BaseException:  # the place, or what was handed over, is for others
        given = queue.leave(ticket)
        if isinstance(given, Selection):
            given.cancel()
        raise
    if isinstance(result, Selection):
        return result
    try:
        raise result
    finally:
        del result, ticket  # its traceback holds this frame: no cycle


def _refusal(service: str, queue: Queue, *, is_late: bool) -> NoBackendsAvailable:
    if is_late:
        limit, remedy = "its deadline", "raise max_in_flight, or add backends"
    else:
        limit = f"queue_timeout={queue.timeout:g} s"
        remedy = "raise max_in_flight or queue_timeout, or add backends"
    return NoBackendsAvailable(
        f"no backend of {service!r} had room within {limit}, all are at max_in_flight: "
        f"{remedy}; see stats()"
    )
