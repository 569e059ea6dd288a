"""Checks of what users configure: each says what is wrong and what would be right."""

from __future__ import annotations

import math

from lbtransport._errors import ConfigurationError


def check_integer(
    name: str, value: object, *, least: int, most: int | None = None
) -> None:
    """Refuse what is no integer from `least` to `most`.

    Raises:
        ConfigurationError: If it is not.
    """
    if (
        isinstance(value, bool)
        or not isinstance(value, int)
        or value < least
        or (most is not None and value > most)
    ):
        limit = "" if most is None else f" and at most {most}"
        raise ConfigurationError(
            f"{name}={value!r}: give an integer of at least {least}{limit}"
        )


def check_label(name: str, value: object) -> None:
    """Refuse what is no text that may stand in a header or in a TLS handshake.

    Raises:
        ConfigurationError: If it is not.
    """
    is_text = isinstance(value, str) and value.isascii() and value.isprintable()
    if not is_text or not value or " " in str(value):
        raise ConfigurationError(f"{name}={value!r}: give a name without white space")


def check_number(
    name: str,
    value: object,
    *,
    least: float = 0.0,
    most: float = math.inf,
    above: bool = False,
    unit: str = "a number",
) -> None:
    """Refuse what is no finite number from `least` to `most`.

    Args:
        name: What the user calls it.
        value: What he gave.
        least: The smallest that is allowed.
        most: The largest that is allowed.
        above: Whether `least` itself is not.
        unit: What is expected, for the message: ``"seconds"``.

    Raises:
        ConfigurationError: If it is not.
    """
    if (
        isinstance(value, bool)
        or not isinstance(value, (int, float))
        or not math.isfinite(value)
        or not least <= value <= most
        or (above and value == least)
    ):
        limits = f"above {least:g}" if above else f"of at least {least:g}"
        if most < math.inf:
            limits += f" and at most {most:g}"
        raise ConfigurationError(f"{name}={value!r}: give {unit} {limits}")


def check_type(
    name: str, value: object, kind: type | tuple[type, ...], hint: str
) -> None:
    """Refuse what is not an instance of `kind`; `hint` says what to give instead.

    Raises:
        ConfigurationError: If it is not.
    """
    if not isinstance(value, kind):
        raise ConfigurationError(f"{name}={value!r}: {hint}")
