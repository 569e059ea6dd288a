"""What the user wants to be simulated, from options and from a file.

Options win over the file; both use the same grammar.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from lbtransport._errors import ConfigurationError
from lbtransport._simulate.grammar import (
    read_faults,
    read_list,
    read_servers,
    read_service,
)
from lbtransport._toml import load
from lbtransport._validation import check_integer
from lbtransport._values import (
    did_you_mean,
    read_duration,
    read_integer,
    read_number,
    read_switch,
    read_text,
)
from lbtransport.strategies import STRATEGIES, make_strategy
from lbtransport.testing import YARDSTICKS, Scenario, Server

_USUAL_SERVERS = (Server(),) * 10
_USUAL_UTILISATION = 0.7


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What is simulated, and with what.

    Attributes:
        scenario: The fleet, its load and its faults.
        strategies: Names of those that are compared.
        seed: What chance begins with.
        attempts: Sends of one request, at most.
        eject: Whether backends are ejected.
        keys: Number of different keys; None: requests have none.
    """

    scenario: Scenario
    strategies: tuple[str, ...]
    seed: int = 1
    attempts: int = 1
    eject: bool = True
    keys: int | None = None

    def __post_init__(self) -> None:
        """Refuse values out of range."""
        check_integer("seed", self.seed, least=0)
        check_integer("attempts", self.attempts, least=1)
        if self.keys is not None:
            check_integer("keys", self.keys, least=1)
        if not self.strategies:
            raise ConfigurationError("strategies=[]: name at least one")
        for name in self.strategies:
            if name not in YARDSTICKS:
                make_strategy(name)


def _read_timeout(value: object) -> float | None:
    return None if value == "none" else read_duration(value)


_READERS: dict[str, Callable[[object], Any]] = {
    "servers": read_list(read_servers),
    "service": read_service,
    "rate": read_number,
    "utilisation": read_number,
    "clients": read_integer,
    "arrivals": read_text,
    "timeout": _read_timeout,
    "works_off_abandoned": read_switch,
    "seconds": read_duration,
    "warmup": read_duration,
    "faults": read_list(read_faults),
    "strategies": read_list(read_text),
    "seed": read_integer,
    "attempts": read_integer,
    "eject": read_switch,
    "keys": read_integer,
}
_OF_SIMULATION = ("seed", "attempts", "eject", "keys")


def read_settings(path: str | None, options: Mapping[str, object]) -> Settings:
    """Return what a file and the options say together.

    Args:
        path: A TOML file; None if there is none.
        options: The names of settings, and what was written; None if nothing was.

    Raises:
        ConfigurationError: If something cannot be read or makes no sense.
    """
    given = {name: value for name, value in options.items() if value is not None}
    values = {} if path is None else _read("in the file, ", load(path, repr(path)))
    # The file's would contradict the option's.
    for name, other in (("rate", "utilisation"), ("utilisation", "rate")):
        if name in given:
            values.pop(other, None)
    values |= _read("", given)
    return _settings(values)


def _settings(values: dict[str, Any]) -> Settings:
    of_simulation = {
        name: values.pop(name) for name in _OF_SIMULATION if name in values
    }
    strategies = values.pop("strategies", None)
    if strategies is None:
        strategies = (
            *_usual_strategies(with_keys="keys" in of_simulation),
            *YARDSTICKS,
        )
    for name in ("servers", "faults"):
        if name in values:
            values[name] = tuple(itertools.chain.from_iterable(values[name]))
    values.setdefault("servers", _USUAL_SERVERS)
    if "rate" not in values:
        values.setdefault("utilisation", _USUAL_UTILISATION)
    scenario = Scenario(**values)
    return Settings(scenario=scenario, strategies=strategies, **of_simulation)


def _usual_strategies(*, with_keys: bool) -> Iterator[str]:
    for name, make in sorted(STRATEGIES.items()):
        # Without a key these choose at random, which says nothing of them.
        if with_keys or not getattr(make, "is_keyed", False):
            yield name


def _read(where: str, given: Mapping[str, object]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, value in given.items():
        reader = _READERS.get(name)
        if reader is None:
            raise ConfigurationError(
                f"{where}{name!r} is unknown{did_you_mean(name, _READERS)}; the "
                f"settings are: {', '.join(_READERS)}"
            )
        try:
            values[name] = reader(value)
        except ConfigurationError as error:
            raise ConfigurationError(f"{where}{name}: {error}") from error
    return values
