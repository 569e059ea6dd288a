"""A delivery: one caller's request on its way to one backend after another.

It answers what the exchange asks about the request, and makes of it the request that an
inner transport gets: a new one each time, so the caller's is never changed.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Hashable
from typing import Any, ClassVar, Self

from lbtransport._balancer import Balancer
from lbtransport._effects import SHORTEST_TIMEOUT
from lbtransport._httpx_family.deadlines import Deadline, Timeouts, move_on_after
from lbtransport._httpx_family.flavour import Flavour
from lbtransport._httpx_family.routes import Route, Routes
from lbtransport._httpx_family.stages import is_stale
from lbtransport._httpx_family.uploads import is_replayable
from lbtransport._httpx_family.view import FamilyView
from lbtransport._key_search import find_key
from lbtransport._limits import Limit
from lbtransport._options import Options, current_options
from lbtransport._types import Backend, Fault, Outcome
from lbtransport._types.exceptions import outcome_of_exception
from lbtransport._types.outcome import FAULTS, NEUTRAL, SUCCESS
from lbtransport.load_balancer import LoadBalancer
from lbtransport.retry import Plan

EXTENSION = "lbtransport"


class _Delivery:
    """What both kinds share: the questions, and the making of requests.

    Attributes:
        balancer: The service.
        request: The caller's own; never changed.
        route: That of the last attempt; None before the first.
        sent: What was given to its inner transport.
        key: What the caller wants to be spread by.
        deadline: Seconds for the whole exchange; None if it may take for ever.
        ends_at: Instant of the deadline.
        plan: How the request is repeated.
    """

    __slots__ = (
        "_authority",
        "_body",
        "_flavour",
        "_options",
        "_routes",
        "balancer",
        "deadline",
        "ends_at",
        "key",
        "plan",
        "request",
        "route",
        "sent",
    )
    # Which of the flavour's stand-ins for a body that can be sent only once.
    _once: ClassVar[str]

    def __init__(
        self,
        flavour: Flavour,
        routes: Routes,
        balancer: LoadBalancer,
        request: Any,
        authority: tuple[str, str, int | None],
    ) -> None:
        """Take on `request`, for the service `balancer`."""
        self._flavour = flavour
        self._routes = routes
        self._authority = authority
        self.balancer = balancer
        self.request = request
        self.route: Route | None = None
        self.sent: Any = None
        options: Options = current_options(request.extensions.get(EXTENSION))
        self._options = options
        self.key: Hashable = options.key
        if balancer.key_rule is not None and self.key is None:
            self.key = find_key(balancer.key_rule, FamilyView(request))
        self.plan: Plan = options.retry or balancer.plan
        deadline = options.deadline
        self.deadline = balancer.deadline if deadline is None else deadline
        self.ends_at: float | None = None
        if self.deadline is not None:
            self.ends_at = balancer.core.clock.monotonic() + self.deadline
        stream = request.stream
        self._body: Any = None  # the stand-in for one that can be sent only once
        if not is_replayable(flavour.module, stream):
            self._body = getattr(flavour, self._once)(stream)

    # -- what the exchange asks ---------------------------------------------------

    @property
    def method(self) -> str:
        """The HTTP method."""
        return self.request.method  # type: ignore[no-any-return]  # the client's str

    @property
    def is_declared_idempotent(self) -> bool | None:
        """What the caller said: by an option, or by an Idempotency-Key."""
        if self._options.idempotent is not None:
            return self._options.idempotent
        return True if "idempotency-key" in self.request.headers else None

    def can_replay(self) -> bool:
        """Tell whether the body can be sent, whole, once more."""
        return self._body is None or self._body.can_begin_again()

    def outcome_of(self, response: Any, balancer: Balancer) -> Outcome:
        """Return what the headers say of the backend."""
        status, judge = response.status_code, balancer.judge
        if status < 400 and not judge.sees_all:
            return SUCCESS
        return judge.outcome_of(response, status, response.headers)

    def outcome_of_error(self, error: Exception) -> Outcome:
        """Return what an error says of the backend: nothing, if it is not the client's.

        It may be the caller's own, or that of an application in this process, which
        knows other backends than we do: its database that refuses a connection is not
        one that never got the request.
        """
        if not isinstance(error, self._flavour.module.HTTPError):
            return NEUTRAL
        if self._body is not None and self._body.has_raised(error):
            return NEUTRAL
        if self.route is not None and self.route.pool.is_left:
            return NEUTRAL  # he closed the connection
        outcome = outcome_of_exception(error)
        if outcome.fault is Fault.DISCONNECT and is_stale(error):
            return FAULTS[Fault.STALE]
        return outcome

    def can_race(self) -> bool:
        """Tell whether the body can be sent twice at the same time."""
        return isinstance(self.request.stream, self._flavour.module.ByteStream)

    def is_answer(self, answer: Any) -> bool:
        """Tell whether it is a response of this client."""
        return isinstance(answer, self._flavour.module.Response)

    # -- what an attempt needs ----------------------------------------------------

    def _request_for(self, backend: Backend, timeout: float | None) -> tuple[Any, Any]:
        """Return the inner transport for a backend, and the request to give it."""
        request = self.request
        url = request.url
        self.route = route = self._routes.find(
            self.balancer, backend, self._authority, url
        )
        extensions = dict(request.extensions)
        extensions.pop(EXTENSION, None)
        tls_name = route.target.tls_name
        if tls_name is not None:
            extensions.setdefault("sni_hostname", tls_name)
        if timeout is not None:
            extensions["timeout"] = Timeouts(extensions.get("timeout"), timeout)
        headers = request.headers
        if route.sets_headers:
            headers = route.headers_for(headers)
        flavour = self._flavour
        made = flavour.make_request(
            request.method,
            flavour.rewrite(url, route.scheme, route.host, route.port, route.prefix),
            headers,
            request.stream if self._body is None else self._body,
            extensions,
        )
        self.sent = made
        route.pool.open[made] = None
        return route.pool.transport, made

    def twin(self) -> Self:
        """Return another delivery of the same request, which can be on its way too."""
        return copy.copy(self)

    def adopt(self, twin: Self) -> None:
        """Have sent what `twin` sent."""
        self.route, self.sent = twin.route, twin.sent

    def leave_pool(self) -> None:
        """Hold no connection any more, and wait for none."""
        assert self.route is not None
        self.route.pool.open.pop(self.sent, None)

    def _may_go_again(
        self, error: BaseException, backend: Backend, ends_at: float
    ) -> bool:
        """Tell whether a request may go to the same backend again, by another pool.

        It may if it had no connection to go by, and its pool was to blame.

        Args:
            error: What came instead of a response.
            backend: Where the request should have gone.
            ends_at: Instant at which the attempt must have ended.
        """
        if not isinstance(error, self._flavour.module.PoolTimeout):
            return False
        assert self.route is not None
        pool, now = self.route.pool, self.balancer.core.clock.monotonic()
        is_over = pool.is_left or ends_at <= now
        if not pool.is_to_blame(self.sent, now) or is_over or not self.can_replay():
            return False
        url = self.request.url
        route = self._routes.find(self.balancer, backend, self._authority, url)
        return route.pool is not pool  # a user's factory may have but one

    def _end_of(self, timeout: float | None) -> float:
        """Return the instant in so many seconds."""
        if timeout is None:
            return math.inf
        return self.balancer.core.clock.monotonic() + timeout

    def _time_until(self, ends_at: float | None) -> float | None:
        """Return seconds until an instant, not quite zero; None if it never comes."""
        if ends_at is None or ends_at == math.inf:
            return None
        return max(ends_at - self.balancer.core.clock.monotonic(), SHORTEST_TIMEOUT)

    def body_deadline(self) -> Deadline | None:
        """Return what ends a body that is read past the deadline; None without one."""
        if self.ends_at is None:
            return None
        clock = self.balancer.core.clock
        return Deadline(
            self.ends_at,
            clock,
            self._flavour.module.TimeoutException,
            lambda: self._timeout(
                f"the deadline of {self.deadline:g} s is over, and the body of the "
                f"response is not here yet"
            ),
        )

    def _timeout(self, message: str) -> Exception:
        """Make the client's own error."""
        error: Exception
        error = self._flavour.module.ReadTimeout(message, request=self.request)
        return error


class SyncDelivery(_Delivery):
    """A request of a synchronous client."""

    __slots__ = ()
    _once = "touched_sync"

    def send(
        self, backend: Backend, timeout: float | None, *, is_again: bool = False
    ) -> Any:
        """Send the request to `backend`; return the response, its body unread."""
        ends_at = self._end_of(timeout)
        transport, request = self._request_for(backend, timeout)
        try:
            if timeout is None:
                return transport.handle_request(request)
            with Limit(timeout):
                response = transport.handle_request(request)
        except BaseException as error:
            may_go_again = not is_again and self._may_go_again(error, backend, ends_at)
            self.leave_pool()
            if not may_go_again:
                raise
        else:
            request.extensions["timeout"].allow(self._time_until(self.ends_at))
            return response
        return self.send(backend, self._time_until(ends_at), is_again=True)

    def close(self, response: Any) -> None:
        """Close a response that nobody will see."""
        try:
            response.close()
        finally:
            self.leave_pool()


class AsyncDelivery(_Delivery):
    """A request of an asynchronous client."""

    __slots__ = ()
    _once = "touched_async"

    async def send(
        self, backend: Backend, timeout: float | None, *, is_again: bool = False
    ) -> Any:
        """Send the request to `backend`; return the response, its body unread."""
        ends_at = self._end_of(timeout)
        transport, request = self._request_for(backend, timeout)
        try:
            if timeout is None:
                return await transport.handle_async_request(request)
            response = None
            with move_on_after(timeout):
                response = await transport.handle_async_request(request)
            if response is None:
                raise self._timeout(
                    f"no response came in the {timeout:g} s that were left for it"
                )
        except BaseException as error:
            may_go_again = not is_again and self._may_go_again(error, backend, ends_at)
            self.leave_pool()
            if not may_go_again:
                raise
        else:
            request.extensions["timeout"].allow(self._time_until(self.ends_at))
            return response
        return await self.send(backend, self._time_until(ends_at), is_again=True)

    async def close(self, response: Any) -> None:
        """Close a response that nobody will see."""
        try:
            await response.aclose()
        finally:
            self.leave_pool()
