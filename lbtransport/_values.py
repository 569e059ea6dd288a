"""Single values as they are written: texts, switches, numbers, durations, words.

A reader takes what was written and returns what was meant, or raises a
`ConfigurationError` that says what to write instead.

Not here: lists, backends and checks, which are made of these (`_grammar`).
"""

from __future__ import annotations

import contextlib
import difflib
import re
from collections.abc import Collection
from decimal import Decimal

from lbtransport._errors import ConfigurationError

_UNITS = {"ms": "0.001", "s": "1", "m": "60", "h": "3600", "": "1"}  # in seconds
_DURATION = re.compile(r"([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+))\s*(ms|s|m|h|)")
_SEPARATORS = re.compile(r"[\s,]+")
_SWITCHES = {
    **dict.fromkeys(("true", "1", "yes", "on"), True),
    **dict.fromkeys(("false", "0", "no", "off"), False),
}


def split(text: str) -> list[str]:
    """Return the words of a list that blanks, commas or both separate."""
    return [word for word in _SEPARATORS.split(text) if word]


def did_you_mean(name: str, known: Collection[str], prefix: str = "") -> str:
    """Return the question to put after a wrong name; empty if nothing is like it."""
    close = [prefix + other for other in difflib.get_close_matches(name, list(known))]
    return f" (did you mean {' or '.join(close)}?)" if close else ""


def read_text(value: object) -> str:
    """Read a text."""
    if isinstance(value, str):
        return value.strip()
    raise ConfigurationError(f"{value!r} is no text; put it in quotes")


def read_switch(value: object) -> bool:
    """Read a truth value."""
    found = value
    if isinstance(value, str):
        found = _SWITCHES.get(value.strip().lower())
    if isinstance(found, bool):
        return found
    raise ConfigurationError(
        f"{value!r} is neither true nor false; choose one of: {', '.join(_SWITCHES)}"
    )


def read_integer(value: object) -> int:
    """Read an integer."""
    if isinstance(value, str):
        with contextlib.suppress(ValueError):
            return int(value)
    elif isinstance(value, int) and not isinstance(value, bool):
        return value
    raise ConfigurationError(f"{value!r} is no integer; give one, such as 3")


def read_number(value: object) -> float:
    """Read a number."""
    if isinstance(value, str):
        with contextlib.suppress(ValueError):
            return float(value)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        return value
    raise ConfigurationError(f"{value!r} is no number; give one, such as 0.5")


def read_duration(value: object) -> float:
    """Read seconds, or a number with its unit: ``1.5``, ``10s``, ``500ms``, ``2m``."""
    if isinstance(value, str):
        match = _DURATION.fullmatch(value.strip())
        if match is not None:
            # Decimals, since 0.001 is no float: 35 ms shall be what 0.035 is.
            return float(Decimal(match[1]) * Decimal(_UNITS[match[2]]))
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        return value
    raise ConfigurationError(
        f"{value!r} is no duration; give seconds, or a number with ms, s, m or h, "
        f"such as 10s or 500ms"
    )
