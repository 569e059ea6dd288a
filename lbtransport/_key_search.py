"""The search for a key: what a rule finds in a request.

It is made once for each exchange, in the request as its caller wrote it, so a retry has
the key of the first attempt.
It reads what is in memory anyway: no stream, no file, and nothing that is compressed.
What it finds goes to the strategy, and into no message, log or event.

Keys stay with their backends through every upgrade of this library: what is found where
may never change.

Not here: how rules are written (`_key_rules`), and how a client's request is looked at
(each adapter's `view`).
"""

from __future__ import annotations

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Hashable
from contextlib import suppress
from http.cookies import CookieError, SimpleCookie
from typing import Any, assert_never
from urllib.parse import parse_qs, unquote, urlsplit

from lbtransport._errors import ConfigurationError
from lbtransport._key_rules import (
    Cookie,
    Field,
    Header,
    KeyRule,
    Parameter,
    Path,
    Source,
)
from lbtransport._lazy import lazy

# Parsing takes about as long as it took the caller to write it: 4 ms for a MiB of
# text, ten times as long for a MiB of small objects.
LARGEST_BODY = 4 * 1024 * 1024  # bytes, or characters of a text

_INDEX = re.compile(r"[0-9]{1,9}")


class RequestView(ABC):
    """A client's request as rules see it; each adapter has its own.

    Attributes:
        native: The client's own request.
    """

    def __init__(self, native: Any) -> None:
        """Look at `native`, and read nothing of it yet."""
        self.native = native

    @property
    @abstractmethod
    def url(self) -> str:
        """The logical URL, percent-encoded."""

    @abstractmethod
    def header(self, name: str) -> str | None:
        """Return a header by its name in lower case; None if it is not there."""

    @abstractmethod
    def body(self) -> bytes | bytearray | str | None:
        """Return the body if it is in memory; None if it must be left alone."""

    @lazy
    def document(self) -> object:
        """What a JSON body says; None if it is none that may be looked into.

        Raises:
            ValueError: If it is no JSON.
            RecursionError: If it is nested too deeply.
        """
        encoding = self.header("content-encoding") or "identity"
        body = self.body() if encoding.lower() == "identity" else None
        if body is None or len(body) > LARGEST_BODY:
            return None
        return json.loads(body)


def find_key(rule: KeyRule, request: RequestView) -> Hashable:
    """Return the key of a request; None if it has none.

    Raises:
        ConfigurationError: If a user's function returned what can be no key.
        Exception: What that function raised.
    """
    if not callable(rule):
        return next(filter(None, (_read(source, request) for source in rule)), None)
    key = rule(request.native)
    try:
        hash(key)
    except TypeError as error:
        # The key itself may be a secret.
        raise ConfigurationError(
            f"key={rule!r} returned a {type(key).__name__} that cannot be hashed; "
            f"return a str, bytes, an int, a tuple of these, or None"
        ) from error
    return key


def _read(source: Source, request: RequestView) -> str | None:
    """Return what stands there; None or an empty text if there is nothing."""
    match source:
        case Header(name):
            return (request.header(name) or "").strip()
        case Cookie(name):
            return _read_cookie(request.header("cookie") or "", name)
        case Path():
            # Clients do not agree on what they encode.
            return unquote(urlsplit(request.url).path) or "/"
        case Parameter(name):
            values = parse_qs(urlsplit(request.url).query).get(name)
            return values[0] if values else None
        case Field(steps, characters):
            with suppress(ValueError, RecursionError):
                return _text_of(_follow(steps, request.document))[:characters]
            return None
        case _:
            assert_never(source)


def _read_cookie(header: str, name: str) -> str | None:
    # One by one: the parser gives up all of them for one that it cannot read.
    for pair in header.split(";"):
        if name in pair:  # the parser takes its time
            with suppress(CookieError):
                # To the parser, "path" and others are attributes of a cookie, "_path"
                # is one.
                found = SimpleCookie(f"_{pair.strip()}").get(f"_{name}")
                if found is not None:
                    return found.value
    return None


def _follow(steps: tuple[str, ...], value: object) -> object:
    """Return what is at the end of the steps into a JSON document."""
    for step in steps:
        if isinstance(value, dict):
            value = value.get(step)
        elif isinstance(value, list) and _INDEX.fullmatch(step):
            value = value[int(step)] if int(step) < len(value) else None
        else:
            return None
    return value


def _text_of(value: object) -> str:
    """Return a text, or of what is none the JSON; of nothing, nothing."""
    if isinstance(value, str):
        return value
    if value in (None, [], {}):
        return ""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
