"""A backend: one server that we can send to, and what its operator says of it.

Not here: how the backend is doing.
That is evidence, it changes with each request, and `_backends` keeps it.
"""

from __future__ import annotations

import base64
import ipaddress
import re
from collections.abc import Iterator, Mapping
from dataclasses import KW_ONLY, dataclass, field
from functools import lru_cache
from typing import Any
from urllib.parse import unquote, urlsplit

from lbtransport._errors import ConfigurationError, hide_credentials
from lbtransport._validation import (
    check_integer,
    check_label,
    check_number,
    check_type,
)

DEFAULT_PORTS = {"http": 80, "https": 443}

TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, 5.6.2
_HOST = re.compile(r"[A-Za-z0-9._~-]+")

# Between them, no sum and no quotient of weights leaves the numbers.
_LEAST_WEIGHT, _MOST_WEIGHT = 1e-9, 1e9

_EXAMPLE = (
    "write it as 'http://10.0.0.1:8080', 'http://[fd00::1]:8080' or "
    "'https://eu.example.com/v1'"
)


class SecretHeaders(Mapping[str, str]):
    """Headers that never show their values: not in a repr, a pickle or a message."""

    __slots__ = ("_headers",)

    def __init__(self, headers: Mapping[str, str] | None = None) -> None:
        """Copy `headers`."""
        self._headers = dict(headers or {})

    def __getitem__(self, name: str) -> str:
        """Return the value under exactly this name."""
        return self._headers[name]

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names."""
        return iter(self._headers)

    def __len__(self) -> int:
        """Return the number of headers."""
        return len(self._headers)

    def __repr__(self) -> str:
        """Tell that there are secrets, and none of them."""
        return "<hidden>" if self._headers else "{}"

    def __copy__(self) -> SecretHeaders:
        """Return itself: it never changes."""
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> SecretHeaders:
        """Return itself: it never changes."""
        return self

    def __reduce__(self) -> tuple[type[SecretHeaders], tuple[()]]:
        """Leave the headers behind: a pickle travels where secrets must not."""
        return SecretHeaders, ()


@dataclass(frozen=True, slots=True)
class Backend:
    """One server, named by its base URL.

    Two backends are equal when their normalised URLs are: lower-case scheme and host,
    no default port, no trailing slash, no userinfo, the shortest form of IPv6.

    Args:
        url: Base URL, ``http`` or ``https``.
            A path is put before each request's path.
            Userinfo becomes an ``Authorization`` header for this backend alone.
        weight: Share relative to the other backends, 0 or from 1e-9 to 1e9; a backend
            of weight 0 is used only when no other is left.
        priority: Backends of the lowest number are used while one of them is usable.
        zone: Where it stands; see `zone` of the balancer.
        host: The ``Host`` header that it is sent: ``"logical"``, ``"backend"`` or a
            literal; None leaves it to the balancer.
        tls_name: The name that its certificate must carry, in the same three forms.
        headers: Headers for this backend alone; they replace those of the request.
            They never appear in a repr, a pickle, an event or an error.
        metadata: Whatever its owner wants to find again; not looked at.

    Raises:
        ConfigurationError: If an argument makes no sense.
    """

    url: str
    _: KW_ONLY
    weight: float = field(default=1, compare=False)
    priority: int = field(default=0, compare=False)
    zone: str | None = field(default=None, compare=False)
    host: str | None = field(default=None, compare=False)
    tls_name: str | None = field(default=None, compare=False)
    headers: Mapping[str, str] | None = field(default=None, compare=False)
    metadata: Mapping[str, Any] | None = field(default=None, compare=False, repr=False)

    scheme: str = field(init=False, repr=False, compare=False)
    hostname: str = field(init=False, repr=False, compare=False)
    port: int = field(init=False, repr=False, compare=False)
    path: str = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Normalise the URL, hide the headers, refuse what makes no sense."""
        parts = _parse(self.url)
        headers = dict(self.headers or {})
        if parts.authorization is not None:
            for name in [name for name in headers if name.lower() == "authorization"]:
                del headers[name]
            headers["Authorization"] = parts.authorization
        keep = object.__setattr__  # frozen: this is the one place that writes
        keep(self, "scheme", parts.scheme)
        keep(self, "hostname", parts.hostname)
        keep(self, "port", parts.port)
        keep(self, "path", parts.path)
        keep(self, "url", f"{parts.scheme}://{self.netloc}{parts.path}")
        keep(self, "headers", SecretHeaders(headers))
        check_number(
            f"weight of backend {self.url!r}",
            self.weight,
            least=_LEAST_WEIGHT if self.weight else 0.0,
            most=_MOST_WEIGHT,
            unit="0, or a number",
        )
        check_integer(f"priority of backend {self.url!r}", self.priority, least=0)
        if self.zone is not None:
            check_type(f"zone of backend {self.url!r}", self.zone, str, "give a name")
        for name in ("host", "tls_name"):
            label = getattr(self, name)
            if label is not None:
                check_label(f"{name} of backend {self.url!r}", label)
        for name, value in headers.items():
            check_header(f"headers of backend {self.url!r}", name, value)

    @property
    def netloc(self) -> str:
        """The authority as it stands in a ``Host`` header: no default port."""
        host = f"[{self.hostname}]" if ":" in self.hostname else self.hostname
        is_default = self.port == DEFAULT_PORTS[self.scheme]
        return host if is_default else f"{host}:{self.port}"

    @property
    def is_address(self) -> bool:
        """Whether the host is an IP address, and not a name for DNS."""
        return _address(self.hostname) is not None

    def __str__(self) -> str:
        """Return the URL, which holds no secret."""
        return self.url


@dataclass(frozen=True, slots=True)
class _Parts:
    scheme: str
    hostname: str
    port: int
    path: str
    authorization: str | None


def _parse(url: object) -> _Parts:
    """Take a backend's URL apart, normalised."""
    if not isinstance(url, str):
        raise ConfigurationError(f"a {type(url).__name__} is no backend; {_EXAMPLE}")
    shown = repr(hide_credentials(url))
    if any(character.isspace() or not character.isprintable() for character in url):
        raise ConfigurationError(f"backend {shown} holds white space; {_EXAMPLE}")
    try:
        parts = urlsplit(url)
        port = parts.port
        hostname = _normalise_host(parts.hostname or "")
    except ValueError as error:
        # The parser's words quote what it takes for a port: perhaps a password.
        reason = "it cannot be read" if "@" in url else error
        raise ConfigurationError(f"backend {shown}: {reason}; {_EXAMPLE}") from None
    scheme = parts.scheme.lower()
    if scheme not in DEFAULT_PORTS or not url[len(scheme) :].startswith("://"):
        raise ConfigurationError(
            f"backend {shown} does not begin with http:// or https://; {_EXAMPLE}"
        )
    if not hostname:
        raise ConfigurationError(f"backend {shown} names no host; {_EXAMPLE}")
    if not _HOST.fullmatch(hostname) and _address(hostname) is None:
        raise ConfigurationError(f"backend {shown} names no possible host; {_EXAMPLE}")
    if port == 0:
        raise ConfigurationError(f"backend {shown}: nothing listens at port 0")
    if parts.query or parts.fragment:
        raise ConfigurationError(
            f"backend {shown} has a query or a fragment, which no request could keep; "
            f"give the base URL alone"
        )
    authorization = None
    if parts.username is not None:
        user, password = unquote(parts.username), unquote(parts.password or "")
        token = base64.b64encode(f"{user}:{password}".encode()).decode()
        authorization = f"Basic {token}"
    return _Parts(
        scheme,
        hostname,
        port or DEFAULT_PORTS[scheme],
        parts.path.rstrip("/"),
        authorization,
    )


def check_header(where: str, name: object, value: object) -> None:
    """Refuse what no client could send; the value is never shown.

    The clients would refuse it too, with the value in their error.

    Raises:
        ConfigurationError: If it is refused; the message begins with `where`.
    """
    if not isinstance(name, str) or not TOKEN.fullmatch(name):
        raise ConfigurationError(f"{where}: {name!r} is no name of a header")
    if (
        not isinstance(value, str)
        or not value.isascii()
        or not value.replace("\t", " ").isprintable()
        or value != value.strip()
    ):
        raise ConfigurationError(
            f"{where}: the value of {name!r} must be ASCII text without line breaks, "
            f"and without blanks around it"
        )


def _normalise_host(host: str) -> str:
    address = _address(host)
    if address is not None:
        return str(address)
    return host.lower() if host.isascii() else host.encode("idna").decode()


@lru_cache(maxsize=1024)  # asked at each check
def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
