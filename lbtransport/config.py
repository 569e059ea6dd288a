"""One validated description of a service, from which its `LoadBalancer` is made.

The settings that a service may have follow from the fields of `ServiceConfig` and of
the policies in it: a field that a policy gains is a setting from then on, in the
environment and in the file alike.

Not here: how a text becomes a value (`_grammar`), and where settings are written
(`_env`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, get_type_hints

from lbtransport._errors import ConfigurationError, hide_credentials
from lbtransport._grammar import (
    Reader,
    read_safely,
    reader_of,
    without_secrets,
)
from lbtransport._key_rules import make_key_rule
from lbtransport._types import Backend
from lbtransport._types.authority import split_service_name
from lbtransport.checks import HttpCheck, TcpCheck
from lbtransport.health import HealthPolicy
from lbtransport.load_balancer import DEFAULT_STRATEGY, LoadBalancer
from lbtransport.retry import RetryPolicy

__all__ = ["ServiceConfig"]

_RETRY = RetryPolicy()
_HEALTH = HealthPolicy()


@dataclass(frozen=True, slots=True, eq=False)
class ServiceConfig:
    """What a service is to be; its arguments are those of `LoadBalancer`.

    Two are equal when they say the same in everything, weights and headers of the
    backends included.

    Raises:
        ConfigurationError: If `LoadBalancer` would refuse it.
    """

    name: str
    backends: tuple[Backend, ...] = ()
    _: KW_ONLY
    strategy: str = DEFAULT_STRATEGY
    key: tuple[str, ...] | None = None
    deadline: float | None = None
    max_in_flight: int | None = None
    max_queued: int | None = None
    queue_timeout: float | None = 1.0
    zone: str | None = None
    subset: int | None = None
    host: str | None = None
    tls_name: str | None = None
    allow_plaintext: bool = False
    checks: HttpCheck | TcpCheck | None = None
    retry: RetryPolicy = _RETRY
    health: HealthPolicy = _HEALTH

    def __post_init__(self) -> None:
        """Refuse what makes no sense."""
        check_name(self.name)
        # Who knows what is allowed is asked. Backends were checked when they were
        # made, and a repeated one is to be warned of once, by the real balancer; so is
        # a rule for keys that has no effect.
        make_key_rule(self.key)
        self._make_balancer((), key=None)

    def __eq__(self, other: object) -> bool:
        """Compare everything: backends of one URL are equal by themselves."""
        if not isinstance(other, ServiceConfig):
            return NotImplemented
        return self._all_of_it() == other._all_of_it()

    def __hash__(self) -> int:
        """Hash what is cheap to hash."""
        return hash((self.name, self.backends))

    def _all_of_it(self) -> list[object]:
        backends = [dataclasses.astuple(backend) for backend in self.backends]
        return [self.name, backends, *(getattr(self, name) for name in _ARGUMENTS)]

    def make_balancer(self) -> LoadBalancer:
        """Return a new balancer that is what this describes."""
        return self._make_balancer(self.backends)

    def _make_balancer(
        self, backends: tuple[Backend, ...], **changes: Any
    ) -> LoadBalancer:
        arguments = {name: getattr(self, name) for name in _ARGUMENTS}
        return LoadBalancer(self.name, backends, **{**arguments, **changes})


_ARGUMENTS = tuple(
    field.name
    for field in dataclasses.fields(ServiceConfig)
    if field.name not in ("name", "backends")
)


def check_name(name: str) -> None:
    """Refuse what is no logical hostname.

    Raises:
        ConfigurationError: If it is not.
    """
    # No name has an "@", so one with credentials is refused without them as well.
    split_service_name(hide_credentials(name))


@dataclass(frozen=True, slots=True)
class Setting:
    """One thing that can be said of a service.

    Attributes:
        name: As it is written: ``"retry_attempts"``.
        field: The field that it sets: ``"attempts"``.
        policy: The field of `ServiceConfig` that holds it: ``"retry"``; empty if it is
            one itself.
        default: What holds when nobody says anything.
        read: What reads it.
    """

    name: str
    field: str
    policy: str
    default: object
    read: Reader


def _settings_of(
    kind: type, defaults: Mapping[str, object], policy: str = ""
) -> Iterator[Setting]:
    hints = get_type_hints(kind)
    prefix = f"{policy}_" if policy else ""
    for name, default in defaults.items():
        if dataclasses.is_dataclass(default):
            yield from _settings_of(type(default), _values_of(default), name)
        else:
            read = reader_of(name, hints[name])
            yield Setting(prefix + name, name, policy, default, read)


def _values_of(policy: Any) -> dict[str, object]:
    return {field.name: getattr(policy, field.name) for field in _init_fields(policy)}


def _init_fields(kind: Any) -> list[dataclasses.Field[Any]]:
    """Return the fields that can be said; a function, say, has no text."""
    return [
        field
        for field in dataclasses.fields(kind)
        if field.init and field.metadata.get("is_setting", True)
    ]


_DEFAULTS: dict[str, Any] = {
    field.name: field.default
    for field in _init_fields(ServiceConfig)
    if field.name != "name"
}

POLICIES = tuple(
    name for name, value in _DEFAULTS.items() if dataclasses.is_dataclass(value)
)
"""The settings that are tables of their own in a file."""

SETTINGS: dict[str, Setting] = {
    setting.name: setting for setting in _settings_of(ServiceConfig, _DEFAULTS)
}
"""Every setting that a service may have, by its name."""


def settings_for(name: str) -> list[str]:
    """Return the names of the settings of a service; without a name: of all of them.

    All services having the same backends is a mistake, and no default.
    """
    return [setting for setting in SETTINGS if name or setting != "backends"]


@dataclass(frozen=True, slots=True)
class Given:
    """What somebody wrote, and where.

    Attributes:
        source: The variable, or the file and the key.
        value: A text, or a value of TOML.
    """

    source: str
    value: object = field(repr=False)

    def __str__(self) -> str:
        """Return it as messages name it, without its secrets."""
        return f"{self.source}={without_secrets(self.value)!r}"

    def complain(self, reason: str) -> str:
        """Return the message that names what is wrong with it, and says it once."""
        shown = repr(without_secrets(self.value))
        is_said = reason.startswith(f"{shown} ")
        return f"{self.source}={reason}" if is_said else f"{self}: {reason}"


def configure(name: str, given: Mapping[str, Given]) -> ServiceConfig:
    """Return the service that `given` describes.

    Args:
        name: Its logical hostname.
        given: What was written, by the names of `SETTINGS`; the rest is default.

    Raises:
        ConfigurationError: If something cannot be read or makes no sense; it names
            the sources that are to blame, and neither it nor its chain holds a secret.
    """
    check_name(name)
    values: dict[str, object] = {}
    for setting, what in given.items():
        try:
            values[setting] = read_safely(SETTINGS[setting].read, what.value)
        except ConfigurationError as error:
            raise ConfigurationError(what.complain(str(error))) from error
    made = _make(name, values)
    if isinstance(made, ServiceConfig):
        return made
    # A value may be wrong only beside another one. What is to blame is what is left
    # when everything is taken away without which the rest is as wrong as before.
    for setting in tuple(values):
        rest = {other: value for other, value in values.items() if other != setting}
        without = _make(name, rest)
        if not isinstance(without, ServiceConfig):
            values, made = rest, without
    raise _blame([given[setting] for setting in values], values, made)


def _make(
    name: str, values: Mapping[str, object]
) -> ServiceConfig | ConfigurationError:
    """Return the service, or why there is none: raised later, outside its handler."""
    own: dict[str, Any] = {}
    policies: dict[str, dict[str, Any]] = {policy: {} for policy in POLICIES}
    for name_of_setting, value in values.items():
        setting = SETTINGS[name_of_setting]
        (policies[setting.policy] if setting.policy else own)[setting.field] = value
    try:
        for policy, fields in policies.items():
            own[policy] = dataclasses.replace(_DEFAULTS[policy], **fields)
        return ServiceConfig(name, **own)
    except ConfigurationError as error:
        return error


def _blame(
    culprits: list[Given], values: Mapping[str, object], error: ConfigurationError
) -> ConfigurationError:
    """Return an error that names the culprits; `error` is its cause if harmless."""
    reason = hide_credentials(str(error))
    cause = error if reason == str(error) else None
    if len(culprits) == 1:
        ((setting, value),) = values.items()
        # The field's bare name says less than the source, which comes before it.
        reason = reason.removeprefix(f"{SETTINGS[setting].field}={value!r}: ")
    *others, last = culprits
    blame = ConfigurationError(
        ", ".join([*(str(other) for other in others), last.complain(reason)])
    )
    blame.__cause__ = cause
    return blame
