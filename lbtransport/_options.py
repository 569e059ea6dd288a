"""Options of single requests, set around the call that makes them.

A context variable carries them, so they reach our transport through any SDK that lies
between, in threads as in tasks.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from lbtransport._errors import ConfigurationError
from lbtransport._validation import check_number, check_type
from lbtransport.retry import Plan, Retry, make_plan


@dataclass(frozen=True, slots=True)
class Options:
    """What a caller wants for one request; None leaves it to the service."""

    key: Hashable = None
    deadline: float | None = None
    idempotent: bool | None = None
    retry: Plan | None = None


NO_OPTIONS = Options()

_current: ContextVar[Options] = ContextVar("lbtransport_options", default=NO_OPTIONS)


@contextmanager
def options(
    *,
    key: Hashable = None,
    deadline: float | None = None,
    idempotent: bool | None = None,
    retry: Retry = None,
) -> Iterator[None]:
    """Set options for the requests that are made inside the block.

    Blocks nest: an inner one adds to the outer one and overrules it.

    Args:
        key: What to spread by, for the strategies that hash.
        deadline: Seconds for all attempts, waits and the body together.
        idempotent: Whether sending the request twice is the same as sending it once;
            overrules what the method says.
        retry: A `RetryPolicy`, a tenacity object, or False for a single attempt.

    Raises:
        ConfigurationError: If a value makes no sense.
    """
    given = {"key": key, "deadline": deadline, "idempotent": idempotent, "retry": retry}
    token = _current.set(_merged(_current.get(), given))
    try:
        yield
    finally:
        _current.reset(token)


def current_options(extension: object = None) -> Options:
    """Return the options that apply here and now.

    Args:
        extension: A request's own, as a mapping with the keys of `options`; they win.

    Raises:
        ConfigurationError: If the mapping holds an unknown key or a bad value.
    """
    outer = _current.get()
    if extension is None:
        return outer
    if not isinstance(extension, Mapping):
        raise ConfigurationError(
            f"the request extension 'lbtransport' is {extension!r}; give a mapping, "
            f"with keys out of: {_KEYS}"
        )
    unknown = [key for key in extension if key not in _NAMES]
    if unknown:
        raise ConfigurationError(
            f"the request extension 'lbtransport' has no key {unknown[0]!r}; its keys "
            f"are: {_KEYS}"
        )
    return _merged(outer, extension)


_NAMES = tuple(field.name for field in dataclasses.fields(Options))
_KEYS = ", ".join(_NAMES)


def _merged(outer: Options, given: Mapping[str, Any]) -> Options:
    chosen = {name: value for name, value in given.items() if value is not None}
    if "retry" in chosen:
        chosen["retry"] = make_plan(chosen["retry"])
    if "deadline" in chosen:
        check_number("deadline", chosen["deadline"], above=True, unit="seconds")
    if "idempotent" in chosen:
        check_type("idempotent", chosen["idempotent"], bool, "give True or False")
    return dataclasses.replace(outer, **chosen)
