"""The grammar of settings: lists, backends and checks, and what reads which type.

Which reader a setting has follows from its type, so a new field needs none of its own.

Not here: single values (`_values`), which settings there are (`config`), where they
are written (`_env`), and whether a value is in its range (whoever takes it:
`RetryPolicy`, `LoadBalancer`, ...).
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Collection, Iterable, Iterator
from functools import partial
from itertools import chain
from types import NoneType
from typing import Any, TypeAlias, get_args, get_origin, get_type_hints

from lbtransport._errors import ConfigurationError, hide_credentials
from lbtransport._types import Backend
from lbtransport._values import (
    did_you_mean,
    read_duration,
    read_integer,
    read_number,
    read_switch,
    read_text,
    split,
)
from lbtransport.checks import HttpCheck, TcpCheck

Reader: TypeAlias = Callable[[object], object]

# How the names of durations end: our names tell the unit (`base_ejection_time`), so
# the types need not. A test holds them against what the policies document in seconds.
DURATION_ENDINGS = (
    *("_time", "_wait", "timeout", "interval", "_window"),
    *("deadline", "slow_start"),
)

_RANGE = re.compile(r"([0-9]{1,4})-([0-9]{1,4})")
_NONE = "none"


def reader_of(name: str, hint: object) -> Reader:
    """Return what reads a setting.

    Args:
        name: The setting's name, whose ending tells a duration from a number.
        hint: Its type, resolved.

    Raises:
        TypeError: If nothing that can be written down has this type.
    """
    arguments = get_args(hint)
    if hint == HttpCheck | TcpCheck | None:
        return partial(_read_optional, read_check)
    if NoneType in arguments:
        (inner,) = (argument for argument in arguments if argument is not NoneType)
        read = reader_of(name, inner)
        # A text may well be the word "none", so it has no such way out.
        return read if inner is str else partial(_read_optional, read)
    if hint is float and name.endswith(DURATION_ENDINGS):
        return read_duration
    if hint == tuple[Backend, ...]:
        return read_backends
    for kind, reader in _READERS.items():
        if hint is kind:
            return reader
    origin = get_origin(hint)
    if isinstance(origin, type) and issubclass(origin, Collection) and arguments:
        # What is asked in its order is a tuple; of the others the order is no matter.
        make = tuple if origin is tuple else frozenset
        return partial(_read_collection, make, reader_of(name, arguments[0]))
    raise TypeError(f"{name}: a {hint} cannot be read from a text; add a reader for it")


def read_safely(read: Reader, value: object) -> object:
    """Read `value`, and let no secret of it into what is raised, nor into its chain.

    Raises:
        ConfigurationError: If it cannot be read.
    """
    try:
        return read(value)
    except ConfigurationError:
        harmless = without_secrets(value)
        if harmless == value:
            raise
    # A credential with a comma in it, say, falls apart into words of which no message
    # can know that they are secret. What holds none fails in the same place.
    read(harmless)
    raise ConfigurationError(
        "what is hidden here cannot be read; in the user and password of a URL "
        "percent-encode what is neither a letter nor a digit, such as %2C for a comma "
        "and %2F for a slash; give headers ASCII texts without line breaks"
    )


def without_secrets(value: object) -> object:
    """Return a copy fit to be shown: no credentials, no headers, no metadata.

    What stands under no name of ours may be a secret, under a name that is misspelt.
    """
    if isinstance(value, str):
        return hide_credentials(value)
    if isinstance(value, list):
        return [without_secrets(item) for item in value]
    if isinstance(value, dict):
        return {
            key: without_secrets(item) if key in _SHOWN else _blanked(item)
            for key, item in value.items()
        }
    return value


def _blanked(value: object) -> object:
    """Keep the shape alone, so that a value of a wrong type stays wrong."""
    if isinstance(value, dict):
        return {key: _blanked(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_blanked(item) for item in value]
    return "***" if isinstance(value, str) else 0


def _read_optional(read: Reader, value: object) -> object:
    if isinstance(value, str) and value.strip().lower() == _NONE:
        return None
    return read(value)


def _read_collection(
    make: Callable[[Iterator[object]], object], read_item: Reader, value: object
) -> object:
    if isinstance(value, str):
        value = [] if value.strip().lower() == _NONE else split(value)
    if isinstance(value, list):
        return make(chain.from_iterable(_items(read_item, one) for one in value))
    raise ConfigurationError(
        f"{value!r} is no list; separate its items by commas or blanks, or write none"
    )


def _items(read_item: Reader, value: object) -> Iterable[object]:
    """Return the items that are meant by one: of integers, ``500-599`` are many."""
    if read_item is read_integer and isinstance(value, str):
        match = _RANGE.fullmatch(value.strip())
        if match is not None and int(match[1]) <= int(match[2]):
            return range(int(match[1]), int(match[2]) + 1)
    return (read_item(value),)


def read_backends(value: object) -> tuple[Backend, ...]:
    """Read a list of backends.

    Args:
        value: A text such as ``"http://10.0.0.1 http://10.0.0.2;weight=3;zone=b"``,
            or a list of such texts and of tables with the arguments of `Backend`.
    """
    if backends := tuple(_backends_in(value)):
        return backends
    raise ConfigurationError(
        f"{value!r} holds no backend; give the URL of one at least"
    )


def _backends_in(value: object) -> Iterator[Backend]:
    if isinstance(value, str):
        yield from map(_backend_of_text, split(value))
    elif isinstance(value, dict):
        yield _backend_of_table(value)
    elif isinstance(value, list):
        for item in value:
            yield from _backends_in(item)
    else:
        raise ConfigurationError(
            f"{value!r} is no list of backends; write it as "
            f"'http://10.0.0.1:8080 http://10.0.0.2:8080;weight=3'"
        )


def _backend_of_text(word: str) -> Backend:
    url, *options = word.split(";")
    if any("://" in option for option in options):
        raise ConfigurationError(
            f"backend {word!r} goes on after a semicolon with another URL; put a blank "
            f"or a comma between backends"
        )
    return _backend_of_table(
        {"url": url, **_read_options(f"backend {url!r}", options, _ARGUMENTS)}
    )


def _backend_of_table(table: dict[str, object]) -> Backend:
    url = table.get("url")
    if not isinstance(url, str):
        raise ConfigurationError("a backend has no url; give it one, as a text")
    return Backend(**_read_arguments(f"backend {url!r}", table, _ARGUMENTS))


def read_check(value: object) -> HttpCheck | TcpCheck:
    """Read an active check.

    Args:
        value: A text such as ``"http;path=/healthz;interval=5s"``, or a table with the
            same kind and options, or with more of them.
    """
    if isinstance(value, str):
        kind, *options = (part.strip() for part in value.split(";"))
        readers = _readers_of_check(kind)
        table = _read_options(f"check {kind!r}", options, readers)
    else:
        table = dict(_read_table(value))
        kind = str(table.pop("kind", ""))
        readers = _readers_of_check(kind)
    return _CHECKS[kind](**_read_arguments(f"check {kind!r}", table, readers))


def _readers_of_check(kind: str) -> dict[str, Reader]:
    if kind in _CHECK_ARGUMENTS:
        return _CHECK_ARGUMENTS[kind]
    raise ConfigurationError(
        f"{kind!r} is no kind of check; choose one of: {', '.join(_CHECKS)}, such as "
        f"'http;path=/healthz'"
    )


def _read_options(
    owner: str, options: Iterable[str], readers: Collection[str]
) -> dict[str, object]:
    """Take options apart that were written as ``option=value``."""
    allowed = [name for name in readers if name not in ("url", *_TABLES)]
    given: dict[str, object] = {}
    for option in filter(None, options):
        name, _, text = option.partition("=")
        if name in given:
            raise ConfigurationError(
                f"{owner}: {name} is there twice; keep one of them"
            )
        if name not in allowed or not text:
            raise ConfigurationError(
                f"{owner}: {option!r} is no option{did_you_mean(name, allowed)}; write "
                f"option=value, with an option out of: {', '.join(allowed)}"
            )
        given[name] = text
    return given


def _read_arguments(
    owner: str, table: dict[str, object], readers: dict[str, Reader]
) -> dict[str, Any]:
    """Read the values of a table, each by its own reader."""
    arguments: dict[str, Any] = {}
    for name, value in table.items():
        reader = readers.get(name)
        if reader is None:
            raise ConfigurationError(
                f"{owner} has no argument {name!r}{did_you_mean(name, readers)}; "
                f"choose one of: {', '.join(readers)}"
            )
        try:
            arguments[name] = reader(value)
        except ConfigurationError as error:
            raise ConfigurationError(f"{owner}: {name}: {error}") from error
    return arguments


def _read_verify(value: object) -> bool | str:
    """Read whose certificates to believe: a switch, or a path."""
    try:
        return read_switch(value)
    except ConfigurationError:
        return read_text(value)


def _read_headers(value: object) -> dict[str, str]:
    headers = _read_table(value)
    if all(isinstance(header, str) for header in headers.values()):
        return headers
    raise ConfigurationError("the values of headers are texts; put them in quotes")


def _read_table(value: object) -> dict[str, Any]:
    if isinstance(value, dict):
        return value
    # What was written instead may be the secret itself, and is not shown.
    raise ConfigurationError("give a table, such as { Name = 'value' }")


_READERS: dict[type, Reader] = {
    str: read_text,
    bool: read_switch,
    int: read_integer,
    float: read_number,
}
# What only TOML can say of a backend: it has no form as an option in a text.
_TABLES: dict[str, Reader] = {"headers": _read_headers, "metadata": _read_table}
_OWN_READERS: dict[str, Reader] = {**_TABLES, "verify": _read_verify}


def _readers_of(kind: type) -> dict[str, Reader]:
    hints = get_type_hints(kind)
    return {
        field.name: _OWN_READERS.get(field.name)
        or reader_of(field.name, hints[field.name])
        for field in dataclasses.fields(kind)
        if field.init
    }


_ARGUMENTS = _readers_of(Backend)
_CHECKS: dict[str, Callable[..., HttpCheck | TcpCheck]]
_CHECKS = {"http": HttpCheck, "tcp": TcpCheck}
_CHECK_ARGUMENTS = {"http": _readers_of(HttpCheck), "tcp": _readers_of(TcpCheck)}
_SHOWN = {"kind", *_ARGUMENTS, *chain(*_CHECK_ARGUMENTS.values())} - set(_TABLES)
