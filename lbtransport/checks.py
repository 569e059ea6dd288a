"""Active health checks: what to ask a backend, and when.

    LoadBalancer("orders", [...], checks=HttpCheck("/healthz", interval=5))
    LoadBalancer("orders", [...], checks=TcpCheck())
    LoadBalancer("orders", [...], checks=is_well)              # a function of a Backend
    LoadBalancer("orders", [...], checks=CustomCheck(is_well, interval=5))

These are descriptions, and do nothing: `_probes` carries them out, `_upkeep` decides
when, and `_background` where.

References:
    HAProxy, `option httpchk` and `http-check expect`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from lbtransport._errors import ConfigurationError
from lbtransport._types import Backend
from lbtransport._types.backend import TOKEN, SecretHeaders, check_header
from lbtransport._upkeep import Pace
from lbtransport._validation import check_integer, check_type

if TYPE_CHECKING:
    from ssl import SSLContext
else:
    SSLContext = object  # importing ssl takes longer than all of ours

__all__ = ["CustomCheck", "HttpCheck", "Pace", "TcpCheck"]

_SUCCESSFUL = frozenset(range(200, 300))


@dataclass(frozen=True, slots=True)
class HttpCheck(Pace):
    """Ask each backend by HTTP/1.1, or HTTPS, as its scheme says.

    The request goes where real traffic goes: a path in the backend's URL comes before
    `path`, ``Host`` and the name in the certificate follow the same rules, and the
    backend's own headers are sent.
    Redirects are not followed.
    A backend that speaks nothing but HTTP/2 needs a `TcpCheck`.

    Args:
        path: Path and query to ask for.
        method: The request's method; it is sent without a body.
        statuses: Those of a backend that is well; by default all from 200 to 299.
        body: A regular expression, searched for in the first `body_limit` bytes of the
            answer's body, read as UTF-8; None looks at no body.
        body_limit: Bytes that are read at most.
        headers: Headers for the checks alone; never shown.
        verify: Whose certificates to believe: True for the system's authorities, a path
            to a file or a folder of authorities, False for all of them, or a context.
            What the clients of the real traffic believe is not known here.

    Raises:
        ConfigurationError: If an argument makes no sense.
    """

    path: str = "/"
    _: KW_ONLY
    method: str = "GET"
    statuses: Collection[int] = _SUCCESSFUL
    body: str | None = None
    body_limit: int = 65536
    headers: Mapping[str, str] | None = field(default=None, hash=False)
    verify: bool | str | SSLContext = True

    def __post_init__(self) -> None:
        """Hide the headers, refuse what makes no sense."""
        Pace.__post_init__(self)
        check_type("path", self.path, str, "give one such as '/healthz'")
        check_type("method", self.method, str, "give one such as 'GET'")
        if not self.path.startswith("/") or not _is_visible_ascii(self.path):
            raise ConfigurationError(
                f"path={self.path!r}: give a path that begins with '/', with all but "
                f"ASCII percent-encoded"
            )
        if not TOKEN.fullmatch(self.method):
            raise ConfigurationError(f"method={self.method!r}: give one such as 'GET'")
        check_type("statuses", self.statuses, Collection, "give a list of integers")
        if not self.statuses:
            raise ConfigurationError("statuses: give at least one, such as 200")
        for status in self.statuses:
            check_integer("statuses", status, least=200, most=599)
        check_integer("body_limit", self.body_limit, least=1)
        if self.body is not None:
            _check_pattern(self.body)
        is_context = hasattr(self.verify, "wrap_bio")
        if not isinstance(self.verify, bool | str) and not is_context:
            raise ConfigurationError(
                f"verify={self.verify!r}: give True, False, the path of authorities, "
                f"or an ssl.SSLContext"
            )
        headers = SecretHeaders(self.headers)
        for name, value in headers.items():
            check_header("headers of the check", name, value)
        object.__setattr__(self, "headers", headers)
        object.__setattr__(self, "statuses", frozenset(self.statuses))


@dataclass(frozen=True, slots=True)
class TcpCheck(Pace):
    """Open a connection to each backend, and close it: somebody listens there."""


@dataclass(frozen=True, slots=True)
class CustomCheck(Pace):
    """Ask a function of one's own, at a pace of one's own.

    Args:
        function: Called with the backend; the backend is well if it returns True or
            None, and not if it returns something false or raises.
            An async one runs in the loop of the checks, which it must not block.
            Any other runs in a thread; one that is still busy with a backend when its
            time is over is not called for that backend again until it returns.
    """

    function: Callable[[Backend], Any]

    def __post_init__(self) -> None:
        """Refuse what cannot be called."""
        Pace.__post_init__(self)
        _check_function("function", self.function, "give")


CheckArgument: TypeAlias = HttpCheck | TcpCheck | Callable[[Backend], Any] | CustomCheck


def as_check(checks: object) -> HttpCheck | TcpCheck | CustomCheck:
    """Return the check that a user's argument means.

    Raises:
        ConfigurationError: If it means none.
    """
    if isinstance(checks, HttpCheck | TcpCheck | CustomCheck):
        return checks
    _check_function("checks", checks, "give an HttpCheck, a TcpCheck, or")
    return CustomCheck(cast(Callable[[Backend], Any], checks))


def _check_function(name: str, function: object, hint: str) -> None:
    if not callable(function) or isinstance(function, type):
        raise ConfigurationError(
            f"{name}={function!r}: {hint} a function that takes a Backend and returns "
            f"whether it is well"
        )


def _is_visible_ascii(text: str) -> bool:
    return text.isascii() and text.isprintable() and " " not in text


def _check_pattern(pattern: object) -> None:
    try:
        re.compile(pattern)  # type: ignore[call-overload]  # anything may come
    except (re.error, TypeError) as error:
        raise ConfigurationError(
            f"body={pattern!r} is no regular expression: {error}"
        ) from error
