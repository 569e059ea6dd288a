"""Strategies of other distributions, found by their entry points.

Looked for only when a name is none of ours, so what nobody uses costs nobody anything:
neither at import nor where a strategy is made.

References:
    PyPA, "Entry points specification".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import TYPE_CHECKING

from lbtransport._errors import ConfigurationError
from lbtransport.strategies._contract import Strategy

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

GROUP = "lbtransport.strategies"


def normalised(name: str) -> str:
    """Return a name as it is looked up: case does not count, nor ``-`` or ``_``."""
    return name.lower().replace("-", "_")


def plugin_names() -> set[str]:
    """Return the names that installed distributions offer, normalised."""
    return {normalised(entry.name) for entry in _entries()}


# Each service of a program has a strategy, and to look for it reads the metadata of all
# that is installed: 14 ms, with a hundred distributions.
@lru_cache(maxsize=64)
def load_plugin(key: str) -> Callable[..., Strategy]:
    """Return what makes the strategy of a normalised name.

    Raises:
        KeyError: If no distribution offers it.  It may be installed later, so only
            what was found is remembered.
        ConfigurationError: If two do, if it cannot be imported, or is no callable.
    """
    found = [entry for entry in _entries() if normalised(entry.name) == key]
    if not found:
        raise KeyError(key)
    if len(found) > 1:
        offers = " and ".join(sorted(map(_describe, found)))
        raise ConfigurationError(
            f"strategy {key!r} is ambiguous, it is {offers}; uninstall one, or give an "
            f"instance"
        )
    (entry,) = found
    try:
        make = entry.load()
    except Exception as error:  # importing may raise anything
        raise ConfigurationError(
            f"strategy {key!r} is {_describe(entry)}, which cannot be imported: "
            f"{type(error).__name__}: {error}; mend or uninstall it"
        ) from error
    if not callable(make):
        raise ConfigurationError(
            f"strategy {key!r} is {_describe(entry)}, which is {make!r} and nothing "
            f"that makes a strategy; let it name a class or a function"
        )
    return make  # type: ignore[no-any-return]  # what it makes is checked


def _entries() -> Iterator[EntryPoint]:
    # Here, for it takes longer than all of ours, and hardly anybody needs it.
    from importlib.metadata import entry_points  # noqa: PLC0415

    return iter(entry_points(group=GROUP))


def _describe(entry: EntryPoint) -> str:
    """Name the distribution and the entry point, as its author wrote it."""
    distribution = entry.dist.name if entry.dist is not None else "an unknown one"
    return f"'{entry.name} = {entry.value}' of the distribution {distribution!r}"
