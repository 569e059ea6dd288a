"""Rules for keys: what of a request it is spread by where its caller does not say.

    header:X-User              a header
    cookie:session             a cookie
    path                       the path of the URL
    query:user                 a parameter of its query
    json:messages.0.content    a field of a JSON body
    json:prompt:256            the first 256 characters of one

No name of a header or a cookie has a colon or a comma in it; in the names that may, and
in those with dots, what separates is percent-encoded.

Not here: what a rule finds (`_key_search`), what becomes of it (`strategies`), and the
keys that a caller gives himself (`_options`), which win.

References:
    Envoy, `RouteAction.HashPolicy`: the sources, and that there may be several.
"""

from __future__ import annotations

import inspect
import logging
import re
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias
from urllib.parse import unquote

from lbtransport._errors import ConfigurationError

KeyArgument: TypeAlias = str | Sequence[str] | Callable[[Any], Hashable] | None

logger = logging.getLogger("lbtransport.balancer")

_FORMS = (
    "write header:<name>, cookie:<name>, path, query:<name>, json:<field> or "
    "json:<field>:<characters>, or several of these separated by commas; in the names "
    "of parameters and fields percent-encode commas and blanks, in those of fields "
    "dots and colons too"
)
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, 5.6.2
_LENGTH = re.compile(r"0*[1-9][0-9]{0,8}")


@dataclass(frozen=True, slots=True)
class Header:
    """A header; `name` is in lower case."""

    name: str


@dataclass(frozen=True, slots=True)
class Cookie:
    """A cookie."""

    name: str


@dataclass(frozen=True, slots=True)
class Path:
    """The path of the URL."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of the URL's query."""

    name: str


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a JSON body.

    Attributes:
        steps: The names and indexes that lead to it.
        characters: How many of its text count; None for all.
    """

    steps: tuple[str, ...]
    characters: int | None = None


Source: TypeAlias = Header | Cookie | Path | Parameter | Field
KeyRule: TypeAlias = tuple[Source, ...] | Callable[[Any], Hashable]
"""Sources, of which the first that has a value gives the key, or a user's function."""


def make_key_rule(key: KeyArgument) -> KeyRule | None:
    """Return the rule that `key` describes; None if there is none.

    Args:
        key: A text, several in the order in which they are asked, or a function of
            the client's request.

    Raises:
        ConfigurationError: If it describes none.
    """
    if key is None:
        return None
    if callable(key):
        if inspect.iscoroutinefunction(key):
            raise ConfigurationError(
                f"key={key!r} must be awaited, and a key is needed at once; give a "
                f"function that is not async"
            )
        return key
    texts = [key] if isinstance(key, str) else key
    if not isinstance(texts, (list, tuple)) or not all(
        isinstance(text, str) for text in texts
    ):
        raise ConfigurationError(
            f"key={key!r}: give a text, a list of texts, or a function of the request; "
            f"in a text {_FORMS}"
        )
    words = [word for text in texts for word in text.replace(",", " ").split()]
    if not words:
        raise ConfigurationError(f"key={key!r}: no rule is named; {_FORMS}")
    return tuple(map(_parse, words))


def _parse(word: str) -> Source:
    kind, colon, rest = word.partition(":")
    match kind.lower():
        case "header" if _TOKEN.fullmatch(rest):
            return Header(rest.lower())
        case "cookie" if _TOKEN.fullmatch(rest):
            return Cookie(rest)
        case "path" if not colon:
            return Path()
        case "query" if rest:
            return Parameter(unquote(rest))
        case "json":
            field, colon, length = rest.partition(":")
            steps = tuple(map(unquote, field.split(".")))
            if all(steps) and (not colon or _LENGTH.fullmatch(length)):
                return Field(steps, int(length) if colon else None)
    raise ConfigurationError(f"{word!r} is no rule for keys; {_FORMS}")


def warn_if_unused(service: str, strategy: object) -> None:
    """Warn that a service has a rule, if its strategy does not say that it is keyed.

    No error: whoever changes the strategy in a hurry, by a variable, should not have
    to find the rule too.
    """
    if not getattr(strategy, "is_keyed", False):
        logger.warning(
            "the rule for keys has no effect, as the strategy does not spread by key; "
            "consistent_hash, rendezvous and maglev do, and one of your own says so by "
            "an attribute `is_keyed` service=%s strategy=%s",
            service,
            type(strategy).__name__,
        )
