"""A delivery: one caller's request on its way to one backend after another.

It answers what the exchange asks about the request, and has requests' own adapter send
a copy of it, so that everything that requests does for a request is done.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, Self

from requests import PreparedRequest, Response
from requests.adapters import HTTPAdapter
from requests.exceptions import (
    ConnectTimeout,
    ReadTimeout,
    RequestException,
    UnrewindableBodyError,
)
from requests.utils import rewind_body, select_proxy, should_bypass_proxies
from urllib3.exceptions import EmptyPoolError

from lbtransport._balancer import Balancer
from lbtransport._key_search import find_key
from lbtransport._limits import Limit, limit
from lbtransport._options import current_options
from lbtransport._requests.bodies import once, socket_of
from lbtransport._requests.pools import StaleConnectionError
from lbtransport._requests.routes import Routes
from lbtransport._requests.view import PreparedView
from lbtransport._requests.wire import (
    Origin,
    WireRequest,
    address,
    capped,
    read_timeout_of,
)
from lbtransport._types import Backend, Fault, Outcome
from lbtransport._types.exceptions import fault_of_exception, outcome_of_exception
from lbtransport._types.outcome import FAULTS, NEUTRAL, SUCCESS
from lbtransport.load_balancer import LoadBalancer

# A discarded answer up to this size is read to its end, which keeps its connection;
# it came with its headers, as good as always.
_SMALL = 8192  # bytes
_BRIEFLY = 0.1  # seconds


class Delivery:
    """One request of a caller.

    Attributes:
        balancer: The service it goes to.
        request: The caller's own; never changed.
        key: What the caller wants to be spread by.
        deadline: Seconds for the whole exchange.
        plan: How it is repeated.
        ends_at: Instant of the deadline; None if there is none.
    """

    __slots__ = (
        "_adapter",
        "_arguments",
        "_idempotent",
        "_once",
        "_origin",
        "_proxies",
        "_routes",
        "_timeout",
        "balancer",
        "deadline",
        "ends_at",
        "key",
        "plan",
        "request",
    )

    def __init__(
        self,
        adapter: HTTPAdapter,
        routes: Routes,
        balancer: LoadBalancer,
        request: PreparedRequest,
        origin: Origin,
        *,
        timeout: Any,
        proxies: Any,
        arguments: dict[str, Any],
    ) -> None:
        """Take on a request.

        Args:
            adapter: Sends it.
            routes: Where the names and the connections of backends are known.
            balancer: The service that the request goes to.
            request: The caller's.
            origin: Where its URL points to.
            timeout: The caller's, as requests takes it.
            proxies: Those to be considered for each backend; None for none.
            arguments: What else the adapter's ``send`` was given.
        """
        self._adapter = adapter
        self._routes = routes
        self.balancer = balancer
        self.request = request
        self._origin = origin
        self._timeout = timeout
        self._proxies = proxies
        self._arguments = arguments
        options = current_options()
        self.key: Hashable = options.key
        if balancer.key_rule is not None and self.key is None:
            self.key = find_key(balancer.key_rule, PreparedView(request))
        self.plan = options.retry or balancer.plan
        self._idempotent = options.idempotent
        deadline = options.deadline
        self.deadline = balancer.deadline if deadline is None else deadline
        self.ends_at: float | None = None
        if self.deadline is not None:
            self.ends_at = balancer.core.clock.monotonic() + self.deadline
        body = request.body
        is_simple = body is None or isinstance(body, (bytes, str, bytearray))
        self._once = None if is_simple or _is_rewindable(request) else once(body)

    # -- what the exchange asks ---------------------------------------------------

    @property
    def method(self) -> str:
        """The HTTP method."""
        return (self.request.method or "").upper()

    @property
    def is_declared_idempotent(self) -> bool | None:
        """What the caller said: by an option, or by an Idempotency-Key."""
        if self._idempotent is not None:
            return self._idempotent
        return True if "Idempotency-Key" in self.request.headers else None

    def can_replay(self) -> bool:
        """Tell whether the body can be sent, whole, once more; rewind it if it can.

        That it was rewound is the only proof that it can be, and as long as it is not
        known, what the last attempt came to can still be given to the caller.
        """
        if self._once is not None:
            return not self._once.is_touched
        if _is_rewindable(self.request):
            try:
                rewind_body(self.request)
            except (UnrewindableBodyError, ValueError):  # a file that was closed
                return False
        return True

    def outcome_of(self, response: Any, balancer: Balancer) -> Outcome:
        """Return what the headers say of the backend."""
        status, judge = response.status_code, balancer.judge
        if status < 400 and not judge.sees_all:
            return SUCCESS
        return judge.outcome_of(response, status, response.headers)

    def outcome_of_error(self, error: Exception) -> Outcome:
        """Return what an error says of the backend: nothing, if it is the caller's."""
        # What comes from the network, requests makes its own error; a raw OSError is a
        # file of certificates that is not there.
        is_local = not isinstance(error, RequestException)
        if is_local or (self._once is not None and self._once.has_raised(error)):
            return NEUTRAL
        if error.args and isinstance(error.args[0], StaleConnectionError):
            return FAULTS[Fault.STALE]
        if error.args and isinstance(error.args[0], EmptyPoolError):
            return FAULTS[Fault.POOL]
        return outcome_of_exception(error)

    def can_race(self) -> bool:
        """Tell whether the body can be sent twice at the same time."""
        return self._once is None and not _is_rewindable(self.request)

    def is_answer(self, answer: Any) -> bool:
        """Tell whether it is a response of requests."""
        return isinstance(answer, Response)

    # -- what the exchange wants done ---------------------------------------------

    def send(self, backend: Backend, timeout: float | None) -> Response:
        """Send the request to `backend`; return the response, its body unread."""
        target = self._routes.find(self.balancer, backend, self._origin)
        wire = address(self.request, self.balancer, target)
        if self._once is not None:
            wire.body = self._once  # type: ignore[assignment]  # the stub knows no iterables
        try:
            if timeout is None:
                response = self._send(wire)
            else:
                response = self._send_within(wire, timeout)
        except RequestException as error:
            error.request = self.request
            raise
        response.request = self.request
        return response

    def twin(self) -> Self:
        """Return itself: nothing is remembered from one send to the next."""
        return self

    def adopt(self, twin: Self) -> None:
        """Go on."""

    def _send_within(self, wire: WireRequest, seconds: float) -> Response:
        """Send a request; raise one of requests' timeouts if that takes too long."""
        with Limit(seconds) as allowed:
            try:
                response = self._send(wire, seconds)
            except EmptyPoolError as error:  # which requests lets through
                raise ConnectTimeout(error) from error
            except RequestException as error:
                # urllib3 has no timeout of its own for an upload that stalls.
                if allowed.is_over and fault_of_exception(error) is Fault.WRITE:
                    raise ReadTimeout(*error.args) from error
                raise
        sock = socket_of(response.raw)
        if sock is not None:
            # What was left of an attempt's time is no limit of the body's.
            sock.settimeout(read_timeout_of(self._timeout))
        return response

    def _send(self, wire: WireRequest, seconds: float | None = None) -> Response:
        # By its name, at each call: mocks replace it in its class.
        return HTTPAdapter.send(
            self._adapter,
            wire,
            timeout=capped(self._timeout, seconds),
            proxies=self._proxies_to(wire.target.backend),
            **self._arguments,
        )

    def close(self, response: Any) -> None:
        """Close a response that nobody will see, and keep its connection if it can."""
        raw = response.raw
        length = getattr(raw, "length_remaining", None)
        sock = socket_of(raw)
        if length is not None and length <= _SMALL and sock is not None:
            limit(sock)
            with Limit(_BRIEFLY):
                raw.drain_conn()
        response.close()

    def _proxies_to(self, backend: Backend) -> dict[str, str]:
        """Return the proxy to a backend, in the one form that ignores the URL."""
        proxies = self._proxies
        if not proxies or should_bypass_proxies(backend.url, proxies.get("no_proxy")):
            return {}
        proxy = select_proxy(backend.url, proxies)
        return {"all": proxy} if proxy else {}


def _is_rewindable(request: PreparedRequest) -> bool:
    """Tell whether a body is a file whose beginning requests has noted."""
    position = getattr(request, "_body_position", None)  # as requests' redirects do
    return isinstance(position, int) and hasattr(request.body, "seek")
