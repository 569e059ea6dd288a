"""Services out of the environment, and out of the TOML file that it names.

Everything is read and checked before any balancer is made, so a mistake anywhere
leaves nothing half-configured.
A process has one balancer for each service: whoever asks again gets the same one, as
long as its description stays the same.

Of two places that set the same thing, the environment beats the file; within each of
them, what is said of a service beats what is said of all.

Not here: which settings there are, and what is wrong with their values (`config`).
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterable, Mapping, Sequence

from lbtransport._errors import ConfigurationError
from lbtransport._forks import call_in_child
from lbtransport._grammar import read_safely
from lbtransport._toml import Layers, read_file
from lbtransport._values import did_you_mean, split
from lbtransport.config import (
    SETTINGS,
    Given,
    ServiceConfig,
    check_name,
    configure,
    settings_for,
)
from lbtransport.load_balancer import LoadBalancer

PREFIX = "LBTRANSPORT_"
SERVICES = "LBTRANSPORT_SERVICES"
CONFIG = "LBTRANSPORT_CONFIG"
MOCK = "LBTRANSPORT_MOCK"

_PASSTHROUGH = "passthrough"


def balancers_from_environment(
    environ: Mapping[str, str] | None = None,
) -> dict[str, LoadBalancer]:
    """Return the balancers of the services that the environment declares.

    Thread-safe.
    A service whose description has changed gets a new balancer; the old one goes on
    working for whoever holds it.

    Args:
        environ: The environment; None is that of the process.

    Returns:
        The balancers by the names of their services; none if none is declared.

    Raises:
        ConfigurationError: If something in the environment or the file makes no sense.
    """
    return _registry.balancers_of(services_of(_or_own(environ)))


def is_mocked(environ: Mapping[str, str] | None = None) -> bool:
    """Tell whether the environment wants logical URLs sent through unbalanced.

    Args:
        environ: The environment; None is that of the process.

    Raises:
        ConfigurationError: If it wants something else in place of the balancers.
    """
    value = _or_own(environ).get(MOCK, "").strip()
    if value not in ("", _PASSTHROUGH):
        raise ConfigurationError(
            f"{Given(MOCK, value)}: there is one way to mock; give {_PASSTHROUGH!r}, "
            f"or leave it unset"
        )
    return value == _PASSTHROUGH


def _or_own(environ: Mapping[str, str] | None) -> Mapping[str, str]:
    return os.environ if environ is None else environ


# -- from variables to descriptions ---------------------------------------------------


def services_of(environ: Mapping[str, str]) -> list[ServiceConfig]:
    """Return the services that an environment declares.

    Raises:
        ConfigurationError: If something in it, or in the file, makes no sense.
    """
    is_mocked(environ)
    variables = {
        name: value.strip()
        for name, value in environ.items()
        if name.startswith(PREFIX) and name != MOCK and value.strip()
    }
    path = variables.pop(CONFIG, None)
    of_file = {"": {}} if path is None else _read_file(path)
    names = _declared(variables.pop(SERVICES, ""), of_file)
    of_environment = _read_variables(variables, names)
    # Defaults must make sense even where each service overrules them.
    configure("defaults", {**of_file[""], **of_environment[""]})
    return [_service(name, of_file, of_environment) for name in names]


def _service(name: str, of_file: Layers, of_environment: Layers) -> ServiceConfig:
    given = {
        **of_file[""],
        **of_file.get(name, {}),
        **of_environment[""],
        **of_environment[name],
    }
    if "backends" not in given:
        raise ConfigurationError(
            f"service {name!r} is declared, but has no backends; set "
            f"{_variable(name, 'backends')} to their URLs"
        )
    return configure(name, given)


def _read_file(path: str) -> Layers:
    try:
        return read_file(path)
    except ConfigurationError as error:
        raise ConfigurationError(f"{CONFIG}={error}") from error


def _declared(text: str, of_file: Layers) -> list[str]:
    """Return the names of all services, each once."""
    try:
        read_safely(_check_names, text)
    except ConfigurationError as error:
        reason = Given(SERVICES, text).complain(str(error))
        raise ConfigurationError(reason) from error
    by_variable: dict[str, str] = {}
    for name in [*split(text), *filter(None, of_file)]:
        other = by_variable.setdefault(_as_variable(name), name)
        if other != name:
            raise ConfigurationError(
                f"services {other!r} and {name!r} would share the variables "
                f"{_variable(name, '')}...; rename one of them"
            )
    return list(by_variable.values())


def _check_names(text: object) -> None:
    for name in split(str(text)):
        check_name(name)


def _variable(service: str, setting: str) -> str:
    """Return the variable of a service's setting; without a service: of all."""
    return PREFIX + _as_variable(f"{service}_{setting}" if service else setting)


def _as_variable(name: str) -> str:
    return re.sub("[^A-Z0-9]", "_", name.upper())


def _read_variables(variables: Mapping[str, str], names: Sequence[str]) -> Layers:
    """Find out of which service, and of which setting, each variable speaks."""
    layers: Layers = {name: {} for name in ("", *names)}
    meanings: dict[str, list[tuple[str, str]]] = {}
    for name in layers:
        for setting in settings_for(name):
            meanings.setdefault(_variable(name, setting), []).append((name, setting))
    for variable, value in variables.items():
        found = meanings.get(variable, [])
        if not found:
            raise ConfigurationError(_unknown(variable, meanings, names))
        if len(found) > 1:
            readings = " or ".join(
                f"{setting!r} of {repr(name) if name else 'all services'}"
                for name, setting in found
            )
            raise ConfigurationError(
                f"{Given(variable, value)} may mean {readings}; rename the service, or "
                f"set it in the file that {CONFIG} names"
            )
        ((name, setting),) = found
        layers[name][setting] = Given(variable, value)
    return layers


def _unknown(variable: str, known: Iterable[str], names: Sequence[str]) -> str:
    """Return what to say of a variable; its value may be a secret, and is not shown."""
    wanted = variable.upper()
    owners = [name for name in names if wanted.startswith(_variable(name, ""))]
    if owners:
        owner = max(owners, key=len)
        shared = _variable(owner, "")
        what_to_do = f"choose one of the settings of {owner!r}: "
    else:
        shared = PREFIX
        what_to_do = (
            f"declare its service in {SERVICES} (declared: "
            f"{', '.join(names) or 'none'}), or choose one of the settings: "
        )
    # What all have in common is left out, or all would look alike.
    rests = [
        other.removeprefix(shared)
        for other in (*known, SERVICES, CONFIG, MOCK)
        if other.startswith(shared)
    ]
    question = did_you_mean(wanted.removeprefix(shared), rests, shared)
    settings = ", ".join(setting.upper() for setting in SETTINGS)
    return f"{variable} is unknown{question}; {what_to_do}{settings}"


# -- one balancer per process and service ---------------------------------------------


class _Registry:
    """The balancers that were made, and of which descriptions."""

    def __init__(self) -> None:
        self._made: dict[str, tuple[ServiceConfig, LoadBalancer]] = {}
        self.reset_lock()

    def reset_lock(self) -> None:
        """Be free again in the child of a fork, whoever held the lock in the parent."""
        # Reentrant: making a balancer may log, and a handler may send its records
        # through a balancer from the environment.
        self._lock = threading.RLock()

    def balancers_of(
        self, services: Sequence[ServiceConfig]
    ) -> dict[str, LoadBalancer]:
        """Return a balancer for each, old ones where nothing has changed."""
        with self._lock:
            made = {service.name: self._find_or_make(service) for service in services}
            self._made.update(made)
        return {name: balancer for name, (_, balancer) in made.items()}

    def _find_or_make(
        self, service: ServiceConfig
    ) -> tuple[ServiceConfig, LoadBalancer]:
        known = self._made.get(service.name)
        if known is not None and known[0] == service:
            return known
        return service, service.make_balancer()


_registry = _Registry()

call_in_child(_registry.reset_lock)
