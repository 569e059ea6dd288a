"""What `lbtransport config` prints: the services that the environment declares.

Read as a program would read them, without making a balancer: nothing is connected,
checked or logged.
Shown is what differs from its default, and neither a header nor a query.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from lbtransport._env import CONFIG, MOCK, SERVICES, is_mocked, services_of
from lbtransport.config import SETTINGS, ServiceConfig

_NO_SERVICE = (
    f"no service is declared: {SERVICES} is not set, and no table of a file that "
    f"{CONFIG} names is one; every request passes through"
)
_MOCKED = f"{MOCK} is set: all of it is sent through unbalanced"

_NOT_SHOWN = frozenset({"url", "headers", "metadata"})


def listing(environ: Mapping[str, str]) -> Iterator[str]:
    """Yield the lines that describe the services of an environment.

    Raises:
        ConfigurationError: If something in it, or in the file, makes no sense.
    """
    services = services_of(environ)
    if not services:
        yield _NO_SERVICE
    for service in services:
        yield service.name
        for backend in service.backends:
            yield "  ".join([f"    {backend.url}", *_differing(backend)])
        yield from (f"    {line}" for line in _settings(service))
    if services and is_mocked(environ):
        yield _MOCKED


def _settings(service: ServiceConfig) -> Iterator[str]:
    for setting in SETTINGS.values():
        owner = getattr(service, setting.policy) if setting.policy else service
        value = getattr(owner, setting.field)
        if setting.field != "backends" and value != setting.default:
            yield f"{setting.name.upper()}={_shown(value)}"


def _shown(value: Any) -> str:
    if dataclasses.is_dataclass(value):
        return f"{type(value).__name__}({', '.join(_differing(value))})"
    if isinstance(value, frozenset):
        value = sorted(value)
    return repr(value)


def _differing(value: Any) -> Iterator[str]:
    """Yield the fields of a backend or a check that are not as by default."""
    for field in dataclasses.fields(value):
        said = getattr(value, field.name)
        if field.init and field.name not in _NOT_SHOWN and said != field.default:
            if field.name == "path":
                said = said.partition("?")[0]
            yield f"{field.name}={_shown(said)}"
