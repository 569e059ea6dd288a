"""Where, and under which names, a backend is called for a logical URL.

Three names may differ for one request: where we connect to, the ``Host`` header that
the server reads, and the name that its certificate must carry.
This room decides the three, and maps what the server says of itself back to the logical
URL, so that the caller's redirects and cookies stay within the service.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from lbtransport._errors import ConfigurationError
from lbtransport._types import Backend
from lbtransport._types.authority import (
    effective_port,
    normalise_host,
    normalise_scheme,
)
from lbtransport._types.naming import names_of
from lbtransport.load_balancer import LoadBalancer

_COOKIE_PATH = re.compile(r"(;\s*path\s*=\s*)([^;\s]*)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Target:
    """A backend, as it is called on behalf of one logical scheme and authority.

    Attributes:
        backend: The backend.
        logical_scheme: ``http`` or ``https``, as the caller wrote it.
        logical_netloc: The caller's authority, without userinfo.
        host: The ``Host`` header; it stands back for one that the caller set himself.
        tls_name: The name that the certificate must carry, sent as SNI; None means the
            backend's own, and no TLS at all for an http backend.
        headers: Headers for this backend alone.
    """

    backend: Backend
    logical_scheme: str
    logical_netloc: str
    host: str
    tls_name: str | None
    headers: Mapping[str, str]

    @property
    def is_mapped(self) -> bool:
        """Whether paths differ between the logical URL and the backend's."""
        return bool(self.backend.path)

    def map_location(self, location: str) -> str:
        """Map a ``Location`` back to the logical URL if it points to this backend."""
        try:
            parts = urlsplit(location)
            port = parts.port
        except ValueError:
            return location  # the client has its own words for that
        prefix = self.backend.path
        if not parts.netloc:
            if not prefix or not _is_under(parts.path, prefix):
                return location
            return parts._replace(path=_stripped(parts.path, prefix)).geturl()
        is_own = self._is_backend(parts, port)
        is_logical = bool(prefix) and self._is_logical(parts, port)
        if not (is_own or is_logical) or not _is_under(parts.path, prefix):
            return location
        path = _stripped(parts.path, prefix) if prefix else parts.path
        netloc = self.logical_netloc
        return parts._replace(
            scheme=self.logical_scheme, netloc=netloc, path=path
        ).geturl()

    def map_cookie(self, cookie: str) -> str:
        """Map the ``Path`` of a ``Set-Cookie`` back to the logical URL."""
        prefix = self.backend.path
        if not prefix:
            return cookie

        def mapped(match: re.Match[str]) -> str:
            path = match[2]
            return match[1] + (
                _stripped(path, prefix) if _is_under(path, prefix) else path
            )

        return _COOKIE_PATH.sub(mapped, cookie, count=1)

    def _is_backend(self, parts: SplitResult, port: int | None) -> bool:
        scheme = normalise_scheme(parts.scheme or self.backend.scheme)
        return (
            scheme == self.backend.scheme
            and normalise_host(parts.hostname or "") == self.backend.hostname
            and effective_port(scheme, port) == self.backend.port
        )

    def _is_logical(self, parts: SplitResult, port: int | None) -> bool:
        logical = urlsplit(f"{self.logical_scheme}://{self.logical_netloc}")
        scheme = normalise_scheme(parts.scheme or self.logical_scheme)
        own_port = effective_port(self.logical_scheme, logical.port)
        return (
            normalise_host(parts.hostname or "")
            == normalise_host(logical.hostname or "")
        ) and effective_port(scheme, port) == own_port


def make_target(
    balancer: LoadBalancer,
    backend: Backend,
    scheme: str,
    netloc: str,
    *,
    allow_plaintext: bool = False,
) -> Target:
    """Return how `backend` is called for a logical URL.

    Args:
        balancer: The service.
        backend: The backend that was selected.
        scheme: The logical URL's scheme.
        netloc: The logical URL's authority, without userinfo.
        allow_plaintext: Whether the adapter permits what the next lines refuse.

    Raises:
        ConfigurationError: If an https request would leave in plain text.
    """
    scheme = normalise_scheme(scheme)
    may_be_plain = allow_plaintext or balancer.allow_plaintext
    if scheme == "https" and backend.scheme == "http" and not may_be_plain:
        raise ConfigurationError(
            f"https://{netloc} would be sent in plain text to {backend.url!r}: give "
            f"an https backend, call http://{netloc}, or set allow_plaintext=True"
        )
    host, tls_name = names_of(
        backend, netloc, host=balancer.host, tls_name=balancer.tls_name
    )
    return Target(
        backend=backend,
        logical_scheme=scheme,
        logical_netloc=netloc,
        host=host,
        tls_name=tls_name,
        headers=backend.headers or {},
    )


def _is_under(path: str, prefix: str) -> bool:
    return not prefix or path == prefix or path.startswith(prefix + "/")


def _stripped(path: str, prefix: str) -> str:
    return path[len(prefix) :] or "/"
