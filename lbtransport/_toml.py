"""What the file that `LBTRANSPORT_CONFIG` names says of each service.

    [defaults]
    strategy = "adaptive"

    [services.orders]
    backends = ["http://10.0.0.1:8080", { url = "http://10.0.0.2:8080", weight = 3 }]
    deadline = "2s"

    [services.orders.retry]
    attempts = 2

Not here: what the values mean (`config`), and what beats what (`_env`).
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

from lbtransport._errors import ConfigurationError, hide_credentials
from lbtransport._values import did_you_mean
from lbtransport.config import POLICIES, Given, check_name, settings_for

Layers: TypeAlias = dict[str, dict[str, Given]]
"""What a source says of each service, by the names of settings; of all, under `""`."""

_TABLES = ("defaults", "services")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


def read_file(path: str) -> Layers:
    """Return what a file says, not yet read as values.

    Raises:
        ConfigurationError: If it cannot be read, or has a key that means nothing.
    """
    shown = repr(hide_credentials(path))
    document = load(path, shown)
    for key in document:
        if key not in _TABLES:
            raise ConfigurationError(
                f"{shown}: {key!r} is unknown{did_you_mean(key, _TABLES)}; its tables "
                f"are: {', '.join(_TABLES)}"
            )
    where = f"{shown}: "
    layers = {"": _read_service(f"{where}defaults", "", document.get("defaults", {}))}
    services = _table(f"{where}services", document.get("services", {}))
    for name, table in services.items():
        try:
            check_name(name)
        except ConfigurationError as error:
            raise ConfigurationError(f"{where}services: {error}") from error
        layers[name] = _read_service(f"{where}services.{_key(name)}", name, table)
    return layers


def load(path: str, shown: str) -> dict[str, object]:
    """Return the document in a file, which messages call `shown`.

    Raises:
        ConfigurationError: If it cannot be read.
    """
    try:
        return tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        reason, what_to_do = str(error.strerror), "name a TOML file in UTF-8"
    except ValueError as error:
        reason = str(error)
        what_to_do = (
            "correct it there; TOML is in UTF-8, texts are in quotes, and so are names "
            "with a dot or a colon"
        )
    # Not in the handlers: a UnicodeDecodeError shows the whole file in its repr.
    raise ConfigurationError(f"{shown} cannot be read: {reason}; {what_to_do}")


def _read_service(where: str, name: str, table: object) -> dict[str, Given]:
    """Return the settings in the table of one service, or of the defaults."""
    allowed = settings_for(name)
    found: dict[str, Given] = {}
    for policy, key, given in _flattened(where, table):
        setting = policy + key
        if setting not in allowed:
            here = [
                one.removeprefix(policy) for one in allowed if one.startswith(policy)
            ]
            raise ConfigurationError(
                f"{given.source} is unknown{did_you_mean(key, here)}; the settings "
                f"here are: {', '.join(here)}"
            )
        if setting in found:
            raise ConfigurationError(
                f"{given.source} is set twice, also as {found[setting].source}; "
                f"keep one of them"
            )
        found[setting] = given
    return found


def _flattened(where: str, table: object) -> Iterator[tuple[str, str, Given]]:
    """Yield what is set, with the tables of the policies taken apart.

    Yields:
        What the names of the policy's settings begin with, or `""`; the key; what is
        given.
    """
    for key, value in _table(where, table).items():
        place = f"{where}.{_key(key)}"
        if key in POLICIES:
            for policy, field, given in _flattened(place, value):
                yield f"{key}_{policy}", field, given
        # As in the environment, what is empty is not set.
        elif not isinstance(value, str) or value.strip():
            yield "", key, Given(place, value)


def _table(where: str, value: object) -> dict[str, object]:
    if isinstance(value, dict):
        return value
    raise ConfigurationError(
        f"{where} is no table; begin one with its name in [brackets], and put the "
        f"keys below"
    )


def _key(name: str) -> str:
    return name if _BARE_KEY.fullmatch(name) else repr(name)
