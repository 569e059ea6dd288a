"""What a `LoadBalancer` is given, held against what makes sense."""

from __future__ import annotations

from collections.abc import Iterable

from lbtransport._errors import ConfigurationError
from lbtransport._types import Backend
from lbtransport._types.authority import split_service_name
from lbtransport._validation import check_integer, check_number, check_type
from lbtransport.health import HealthPolicy


def check_service(
    name: str,
    *,
    health: HealthPolicy | None,
    zone: str | None,
    deadline: float | None,
    subset: int | None,
) -> None:
    """Refuse what makes no sense of a service by itself."""
    check_type("name", name, str, "give the hostname that requests are made to")
    if health is not None:
        check_type("health", health, HealthPolicy, "give a HealthPolicy")
    if zone is not None:
        check_type("zone", zone, str, "give the name of a zone")
    if deadline is not None:
        check_number("deadline", deadline, above=True, unit="seconds")
    if subset is not None:
        check_integer("subset", subset, least=1)
    split_service_name(name)


def check_room(
    max_in_flight: int | None, max_queued: int | None, queue_timeout: float | None
) -> None:
    """Refuse what makes no sense of the limit and the queue behind it."""
    if max_in_flight is not None:
        check_integer("max_in_flight", max_in_flight, least=1)
    if max_queued is not None:
        check_integer("max_queued", max_queued, least=1)
        if max_in_flight is None:
            raise ConfigurationError(
                f"max_queued={max_queued!r}: without max_in_flight there is always "
                f"room, and nothing to wait for; give both or none"
            )
    if queue_timeout is not None:
        check_number("queue_timeout", queue_timeout, above=True, unit="seconds")


def as_backend(backend: str | Backend) -> Backend:
    """Return the backend that a URL means; or a backend itself."""
    return backend if isinstance(backend, Backend) else Backend(backend)


def as_backends(backends: Iterable[str | Backend]) -> list[Backend]:
    """Return the backends of a list of URLs or backends.

    Raises:
        ConfigurationError: If it is no list, or a URL is none.
    """
    if isinstance(backends, (str, Backend)) or not isinstance(backends, Iterable):
        raise ConfigurationError(
            f"a {type(backends).__name__} is no list of backends; give a list of URLs, "
            f"or of Backend values"
        )
    return [as_backend(backend) for backend in backends]
