"""The strategies, by the names that users type.

To add one: a file in this folder and a line in `STRATEGIES`.
The contract tests run over the registry, so they cover it at once.
Other distributions offer theirs as entry points (`_plugins`).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable

from lbtransport._errors import ConfigurationError
from lbtransport.strategies._contract import Candidates, Member, Strategy
from lbtransport.strategies._plugins import load_plugin, normalised, plugin_names
from lbtransport.strategies.adaptive import Adaptive
from lbtransport.strategies.consistent_hash import ConsistentHash
from lbtransport.strategies.least_connections import LeastConnections
from lbtransport.strategies.least_response_time import LeastResponseTime
from lbtransport.strategies.maglev import Maglev
from lbtransport.strategies.peak_ewma import PeakEwmaOfTwo
from lbtransport.strategies.power_of_two import PowerOfTwo
from lbtransport.strategies.random import RandomChoice
from lbtransport.strategies.rendezvous import Rendezvous
from lbtransport.strategies.round_robin import RoundRobin
from lbtransport.strategies.weighted_least_connections import WeightedLeastConnections
from lbtransport.strategies.weighted_round_robin import WeightedRoundRobin

__all__ = ["STRATEGIES", "Candidates", "Member", "Strategy", "make_strategy"]

STRATEGIES: dict[str, Callable[..., Strategy]] = {
    "adaptive": Adaptive,
    "consistent_hash": ConsistentHash,
    "least_connections": LeastConnections,
    "least_response_time": LeastResponseTime,
    "maglev": Maglev,
    "peak_ewma": PeakEwmaOfTwo,
    "power_of_two": PowerOfTwo,
    "random": RandomChoice,
    "rendezvous": Rendezvous,
    "round_robin": RoundRobin,
    "weighted_least_connections": WeightedLeastConnections,
    "weighted_round_robin": WeightedRoundRobin,
}
_SWITCHES = {"true": True, "false": False}
_ALIASES = {"p2c": "power_of_two"}
_NO_DEFAULT = inspect.Parameter.empty


def make_strategy(spec: str | Strategy) -> Strategy:
    """Return the strategy that `spec` describes.

    Args:
        spec: A registered name, or that of an entry point in the group
            ``lbtransport.strategies``, in which ``-`` and ``_`` are the same, followed
            by options if it has some: ``"name;option=value"``; or a strategy, which is
            returned as it is.

    Raises:
        ConfigurationError: If the name, an option or a value is unknown, or an entry
            point leads to no strategy.
    """
    if not isinstance(spec, str):
        return _checked(spec)
    name, *options = [part.strip() for part in spec.split(";")]
    key = normalised(name)
    make = STRATEGIES.get(_ALIASES.get(key, key)) or _find_plugin(name, key)
    return _checked(make(**_parse_options(key, options, make)))


def _find_plugin(name: str, key: str) -> Callable[..., Strategy]:
    try:
        return load_plugin(key)
    except KeyError:
        known = {*STRATEGIES, *_ALIASES, *plugin_names()}
        raise ConfigurationError(
            f"{name!r} is no strategy; choose one of: {', '.join(sorted(known))}"
        ) from None


def _checked(strategy: Strategy) -> Strategy:
    missing = [
        method
        for method in ("members_changed", "choose")
        if not callable(getattr(strategy, method, None))
    ]
    if missing or inspect.isclass(strategy):
        raise ConfigurationError(
            f"strategy={strategy!r} is no strategy; give a registered name, or an "
            f"instance with members_changed() and choose()"
        )
    return strategy


def _parse_options(
    name: str, options: list[str], make: Callable[..., Strategy]
) -> dict[str, object]:
    """Turn ``option=value`` texts into keyword arguments, typed as the default is."""
    known = _options_of(make)
    parsed: dict[str, object] = {}
    for option in filter(None, options):
        key, _, value = (part.strip() for part in option.partition("="))
        if key not in known:
            choices = ", ".join(known) or "none"
            raise ConfigurationError(
                f"strategy {name!r} has no option {key!r}; its options: {choices}"
            )
        default = known[key]
        kind = type(default) if isinstance(default, (bool, int, float)) else str
        try:
            parsed[key] = _SWITCHES[value.lower()] if kind is bool else kind(value)
        except (KeyError, ValueError):
            raise ConfigurationError(
                f"strategy {name!r}: {option!r} is not of the form "
                f"{key}=<{kind.__name__}>"
            ) from None
    for key, default in known.items():
        if default is _NO_DEFAULT and key not in parsed:
            raise ConfigurationError(
                f"strategy {name!r} needs the option {key!r}; write it as "
                f"'{name};{key}=...'"
            )
    return parsed


def _options_of(make: Callable[..., Strategy]) -> dict[str, object]:
    """Return the options that a strategy takes by name, with their defaults."""
    try:
        parameters = inspect.signature(make).parameters.values()
    except ValueError:  # what is written in C need not tell
        return {}
    by_name = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return {one.name: one.default for one in parameters if one.kind in by_name}
