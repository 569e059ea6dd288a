"""`LoadBalancer`: the public face of one service, put together from the floors below.

It validates, composes and delegates.
Not here: how a backend is chosen (`strategies`), judged (`health`), repeated
(`_exchange`), and how a client's request gets through (the adapters).
"""

from __future__ import annotations

import random
import time
import weakref
from collections.abc import Awaitable, Callable, Collection, Hashable, Iterable
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Any, Self, TypeVar

from lbtransport._arguments import as_backend, as_backends, check_room, check_service
from lbtransport._balancer import Balancer
from lbtransport._checking import Checking
from lbtransport._clock import Clock, SystemClock
from lbtransport._drive import drive, drive_async
from lbtransport._errors import ConfigurationError
from lbtransport._exchange import exchange
from lbtransport._forks import Inherited
from lbtransport._key_rules import KeyArgument, make_key_rule, warn_if_unused
from lbtransport._options import current_options
from lbtransport._selection import Selection
from lbtransport._tasks import AsyncTask, Task
from lbtransport._types import Backend, ServiceStats
from lbtransport._validation import check_label
from lbtransport._waiting import wait_drained, wait_ready
from lbtransport.checks import CheckArgument, as_check
from lbtransport.events import Event
from lbtransport.health import HealthPolicy
from lbtransport.retry import Retry, make_plan
from lbtransport.strategies import Strategy, make_strategy

__all__ = ["LoadBalancer"]

T = TypeVar("T")

DEFAULT_STRATEGY = "adaptive"


class LoadBalancer:
    """One service: a logical hostname, and the backends behind it.

    Thread-safe, and usable from asyncio and trio at the same time, through any number
    of transports.
    Also a context manager that closes it.

    Args:
        name: The logical hostname that requests are made to; with a port
            (``"orders:8080"``) only that port is meant.
        backends: Base URLs, or `Backend` values.
        discovery: Not there yet: give the list.
        strategy: A registered name, with options if it has some
            (``"name;option=value"``), or a strategy of your own.
        key: What adapters spread by, for the strategies that hash, where the caller
            gives no key: ``"header:X-User"``, ``"cookie:session"``, ``"path"``,
            ``"query:user"``, ``"json:prompt:256"``, several of these, or a function
            of the client's own request.
        retry: A `RetryPolicy`, a ``tenacity.Retrying`` or ``AsyncRetrying``, or False.
        health: What a failure is, when a backend is ejected, and how it comes back.
        checks: Active health checks: an `HttpCheck`, a `TcpCheck`, or a function that
            takes a `Backend` and returns whether it is well, async or not; None leaves
            it to what real traffic shows.
        deadline: Seconds for all attempts, waits and the body of a request together.
        max_in_flight: Requests that one backend gets at the same time, at most.
        max_queued: Requests that may wait while all backends are at `max_in_flight`, in
            the order of their coming; None lets none wait.
        queue_timeout: Seconds that each of them waits at most, and never beyond its
            deadline; None for as long as it takes.
        zone: The caller's own zone; its backends are used while one is usable.
        subset: Number of backends that this client keeps to, out of many.
        host: The ``Host`` header, for backends that do not say: ``"logical"``,
            ``"backend"`` or a literal; by default ``"backend"`` for an https backend
            named by DNS, else ``"logical"``.
        tls_name: The name that certificates must carry, in the same forms.
        allow_plaintext: Whether a logical https request may go to an http backend.
        clock: Where time comes from; tests give a `lbtransport.testing.ManualClock`.
        rng: Where chance comes from; tests give one with a seed.

    Raises:
        ConfigurationError: If an argument makes no sense.
    """

    def __init__(
        self,
        name: str,
        backends: Iterable[str | Backend] = (),
        *,
        discovery: object = None,
        strategy: str | Strategy = DEFAULT_STRATEGY,
        key: KeyArgument = None,
        retry: Retry = None,
        health: HealthPolicy | None = None,
        checks: CheckArgument | None = None,
        deadline: float | None = None,
        max_in_flight: int | None = None,
        max_queued: int | None = None,
        queue_timeout: float | None = 1.0,
        zone: str | None = None,
        subset: int | None = None,
        host: str | None = None,
        tls_name: str | None = None,
        allow_plaintext: bool = False,
        clock: Clock | None = None,
        rng: random.Random | None = None,
    ) -> None:
        """Make the service; nothing is connected yet."""
        if discovery is not None:
            raise ConfigurationError(
                f"discovery={discovery!r}: discovery is not there yet; leave it away"
            )
        check_service(name, health=health, zone=zone, deadline=deadline, subset=subset)
        for argument, label in (("host", host), ("tls_name", tls_name)):
            if label is not None:
                check_label(argument, label)
        check_room(max_in_flight, max_queued, queue_timeout)
        self.name = name
        self.deadline = deadline
        self.host = host
        self.tls_name = tls_name
        self.allow_plaintext = allow_plaintext
        # From here on for the adapters alone, and no part of the public face.
        self.plan = make_plan(retry)
        self.key_rule = make_key_rule(key)
        chosen = make_strategy(strategy)
        if self.key_rule is not None:
            warn_if_unused(name, chosen)
        self.core = Balancer(
            name,
            strategy=chosen,
            health=health or HealthPolicy(),
            retry=self.plan.policy,
            clock=clock or SystemClock(),
            rng=rng or random.Random(),
            zone=zone,
            max_in_flight=max_in_flight,
            max_queued=max_queued,
            queue_timeout=queue_timeout,
            subset=subset,
            give_way=_give_way,
        )
        self.core.update(as_backends(backends))
        check = None if checks is None else as_check(checks)
        self.checking = Checking(self.core, check, host=host, tls_name=tls_name)
        # Dropped without close(), it takes its checks along.
        weakref.finalize(self, self.checking.abandon).atexit = False
        _instances.add(self)

    # -- one attempt at a time ----------------------------------------------------

    def select(
        self, key: Hashable = None, exclude: Collection[str | Backend] = ()
    ) -> Selection:
        """Take one backend for one attempt; give it back with `release`.

        It never waits, with `max_queued` neither, and takes no place from those who do.

        Args:
            key: What to spread by, for the strategies that hash.
            exclude: Backends that are not to be taken.

        Raises:
            NoBackendsAvailable: If there is none.
        """
        return self.core.select(key, as_backends(exclude) if exclude else ())

    def execute(
        self, fn: Callable[[Backend], T], key: Hashable = None, idempotent: bool = True
    ) -> T:
        """Call `fn` with a backend, and with others while it fails and may be repeated.

        Args:
            fn: Called with one backend per attempt.
            key: What to spread by.
            idempotent: Whether calling `fn` twice is the same as calling it once.
                If not, it is repeated only after errors that show that nothing was
                sent, such as a refused connection.

        Returns:
            What `fn` returned.

        Raises:
            Exception: What `fn` raised in the last attempt.
            NoBackendsAvailable: If no backend could be selected.
        """
        options = current_options()
        task = Task(
            fn,
            options,
            self.deadline,
            key=key,
            idempotent=idempotent,
            failure_statuses=self.core.judge.failure_statuses,
        )
        steps = exchange(self.core, options.retry or self.plan, task)
        result, selection = drive(steps, task)
        selection.release()
        return result  # type: ignore[no-any-return]  # what fn returned

    async def execute_async(
        self,
        fn: Callable[[Backend], Awaitable[T]],
        key: Hashable = None,
        idempotent: bool = True,
    ) -> T:
        """Await `fn` with a backend; otherwise the same as `execute`."""
        options = current_options()
        task = AsyncTask(
            fn,
            options,
            self.deadline,
            key=key,
            idempotent=idempotent,
            failure_statuses=self.core.judge.failure_statuses,
        )
        steps = exchange(self.core, options.retry or self.plan, task)
        result, selection = await drive_async(steps, task)
        selection.release()
        return result  # type: ignore[no-any-return]  # what fn returned

    # -- membership ---------------------------------------------------------------

    @property
    def backends(self) -> tuple[Backend, ...]:
        """The backends, in the order in which they were added."""
        return self.core.backends

    def add_backend(self, backend: str | Backend) -> None:
        """Add a backend, or give the one with its URL new attributes.

        Raises:
            ConfigurationError: If it is no base URL.
        """
        self.core.add(as_backend(backend))

    def remove_backend(self, url: str | Backend) -> None:
        """Remove a backend; what is in flight to it ends in peace.

        Raises:
            KeyError: If no backend has this URL.
        """
        self.core.remove(url)

    def update_backends(self, backends: Iterable[str | Backend]) -> None:
        """Make `backends` the whole list; those that stay keep their state.

        Raises:
            ConfigurationError: If one is no base URL; then nothing changes.
        """
        self.core.update(as_backends(backends))

    # -- the operator's will ------------------------------------------------------

    def mark_healthy(self, url: str | Backend, healthy: bool | None) -> None:
        """Overrule the evidence on a backend's health.

        Args:
            url: Which one.
            healthy: True or False; None gives the evidence back its say.

        Raises:
            KeyError: If no backend has this URL.
        """
        self.core.mark(url, healthy)

    def drain(self, url: str | Backend, draining: bool = True) -> None:
        """Let a backend get no new requests; False ends that.

        What is in flight to it ends in peace, and then its connections are closed.

        Raises:
            KeyError: If no backend has this URL.
        """
        self.core.drain(url, draining=draining)

    def wait_drained(self, url: str | Backend, timeout: float | None = None) -> bool:
        """Wait until nothing is in flight to a backend.

        Args:
            url: Which one.
            timeout: Seconds to wait at most; None for ever.

        Returns:
            Whether that came to pass in time.

        Raises:
            KeyError: If no backend has this URL.
        """
        return drive(wait_drained(self.core, url, timeout))

    async def wait_drained_async(
        self, url: str | Backend, timeout: float | None = None
    ) -> bool:
        """Do as `wait_drained`, in a task."""
        return await drive_async(wait_drained(self.core, url, timeout))

    def wait_ready(self, timeout: float | None = None) -> bool:
        """Wait until a usable backend is there.

        Args:
            timeout: Seconds to wait at most; None for ever.

        Returns:
            Whether that came to pass in time.
        """
        return drive(wait_ready(self.core, timeout))

    async def wait_ready_async(self, timeout: float | None = None) -> bool:
        """Do as `wait_ready`, in a task."""
        return await drive_async(wait_ready(self.core, timeout))

    # -- watching -----------------------------------------------------------------

    def stats(self) -> ServiceStats:
        """Return a picture of the service at this instant."""
        return self.core.stats()

    def subscribe(self, callback: Callable[[Event], Any]) -> Callable[[], None]:
        """Have `callback` called with each event; return what ends that.

        It is called on the thread that caused the event, outside all locks; what it
        raises is logged and goes no further.
        """
        return self.core.announcer.subscribe(callback)

    # -- the background -----------------------------------------------------------

    def background(self) -> AbstractAsyncContextManager[None]:
        """Run the active checks in the caller's own loop inside an ``async with``.

        The loop may be asyncio's or trio's; from then on no thread runs them.

        Raises:
            RuntimeError: If they run in such a block already.
        """
        return self.checking.background()

    def close(self) -> None:
        """Stop what runs in the background; selecting goes on working.

        It may be called again, and closes no connection: those are the transports'.
        """
        self.checking.close()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close."""
        self.close()

    def __repr__(self) -> str:
        """Show the name and how many backends there are."""
        return f"<LoadBalancer {self.name!r} backends={len(self.backends)}>"


def _give_way() -> None:
    time.sleep(0)  # lets go of the interpreter; other threads need not wait 5 ms for it


def _reset_after_fork(balancer: LoadBalancer) -> None:
    """Give the child of a fork a balancer of its own: locks, counters, chance."""
    balancer.core.reset_after_fork()
    balancer.checking.reset_after_fork()


_instances = Inherited(_reset_after_fork, locks_of=lambda one: one.core.locks)
