"""Under which names a backend is called: in the ``Host`` header and in TLS."""

from __future__ import annotations

from urllib.parse import urlsplit

from lbtransport._types.authority import normalise_host
from lbtransport._types.backend import Backend


def names_of(
    backend: Backend, netloc: str, *, host: str | None, tls_name: str | None
) -> tuple[str, str | None]:
    """Return the ``Host`` header for a backend, and the name in its certificate.

    Args:
        backend: Which one; what it says itself comes first.
        netloc: The logical authority.
        host: What the balancer says; None leaves it to the default.
        tls_name: Likewise.

    Returns:
        The two; the second is None for the backend's own name, and without TLS.
    """
    # Names for DNS are often regions' own endpoints, whose servers and certificates
    # know no other name; addresses stand behind the one name that the caller used.
    is_endpoint = backend.scheme == "https" and not backend.is_address
    default = "backend" if is_endpoint else "logical"
    host_mode = backend.host or host or default
    tls_mode = backend.tls_name or tls_name or default
    logical_host = normalise_host(urlsplit(f"//{netloc}").hostname or "")
    hosts = {"logical": netloc, "backend": backend.netloc}
    names = {"logical": logical_host, "backend": None}
    return (
        hosts.get(host_mode, host_mode),
        names.get(tls_mode, tls_mode) if backend.scheme == "https" else None,
    )
