"""Authorities (``host:port``) as they are compared when a request is matched."""

from __future__ import annotations

from urllib.parse import urlsplit

from lbtransport._errors import ConfigurationError, hide_credentials

# To a load balancer, a websocket is an HTTP request that stays.
_HTTP_SCHEMES = {"ws": "http", "wss": "https"}
_PORTS = {"http": 80, "https": 443}


def normalise_scheme(scheme: str) -> str:
    """Return ``http`` for ``ws`` and ``https`` for ``wss``; others as they are."""
    return _HTTP_SCHEMES.get(scheme, scheme)


def effective_port(scheme: str, port: int | None) -> int | None:
    """Return the port that is connected to; None if the scheme has none."""
    return _PORTS.get(scheme) if port is None else port


def normalise_host(host: str) -> str:
    """Return a host as it is compared: lower case, no trailing dot, no brackets."""
    return host.strip("[]").rstrip(".").lower()


def split_service_name(name: str) -> tuple[str, int | None]:
    """Take a service's name apart.

    Args:
        name: A hostname, with a port if only that port is meant.

    Returns:
        The host, normalised, and the port or None.

    Raises:
        ConfigurationError: If it is neither ``host`` nor ``host:port``.
    """
    try:
        parts = urlsplit(f"//{name}")
        host, port = normalise_host(parts.hostname or ""), parts.port
        is_whole = parts.netloc == name and "@" not in name
    except ValueError:
        host, port, is_whole = "", None, False
    is_whole &= not name.endswith(":")
    if not host or not is_whole or any(character.isspace() for character in name):
        raise ConfigurationError(
            f"{hide_credentials(name)!r} is no name of a service; give a hostname like "
            f"'orders', or "
            f"'orders:8080' for that port alone"
        )
    return host, port
