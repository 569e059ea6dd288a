"""Servers, service times and faults, as users write them.

    servers     10    2:slots=8:slowness=3:weight=2
    service     50ms    lognormal:50ms:variation=0.8    pareto:50ms:shape=2.2
    fault       slow:0:20x:10s-50s    warm:9:5x:10s-20s    fail:0:30%:10s-50s
                kill:0-2:10s-13s    hang:0:10s-20s    absent:9:0s-10s

A reader takes what was written and returns what was meant, or raises a
`ConfigurationError` that says what to write instead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeAlias, TypeVar

from lbtransport._errors import ConfigurationError
from lbtransport._values import did_you_mean, read_duration, read_integer, read_number
from lbtransport.testing import (
    Absent,
    Deterministic,
    Exponential,
    Fail,
    Hang,
    Hyperexponential,
    Kill,
    Lognormal,
    Pareto,
    Server,
    Slow,
    WarmUp,
)
from lbtransport.testing.distributions import Service
from lbtransport.testing.faults import Fault

T = TypeVar("T")
Reader: TypeAlias = Callable[[object], object]

_SERVICES: dict[str, Callable[..., Service]] = {
    "deterministic": Deterministic,
    "exponential": Exponential,
    "hyperexponential": Hyperexponential,
    "lognormal": Lognormal,
    "pareto": Pareto,
}
_SERVICE_OPTIONS: dict[str, dict[str, Reader]] = {
    "hyperexponential": {"variation": read_number},
    "lognormal": {"variation": read_number},
    "pareto": {"shape": read_number},
}
_SERVER_OPTIONS: dict[str, Reader] = {
    "slots": read_integer,
    "slowness": read_number,
    "weight": read_number,
}
_FAULTS: dict[str, Callable[..., Fault]] = {
    "absent": Absent,
    "fail": Fail,
    "hang": Hang,
    "kill": Kill,
    "slow": Slow,
    "warm": WarmUp,
}
_FAULT_EXAMPLE = "slow:0:20x:10s-50s"


def read_list(read_item: Callable[[object], T]) -> Callable[[object], tuple[T, ...]]:
    """Return a reader of one item, or of a list of them."""

    def read(value: object) -> tuple[T, ...]:
        items = value if isinstance(value, list) else [value]
        return tuple(read_item(item) for item in items)

    return read


def read_servers(value: object) -> tuple[Server, ...]:
    """Read a number of equal servers, with options if they have some."""
    number, *options = _parts(value)
    server = Server(**_options(options, _SERVER_OPTIONS))  # type: ignore[arg-type]  # each reader's type is its field's
    count = read_integer(number)
    if count < 1:
        raise ConfigurationError(f"{value!r}: give at least one server")
    return (server,) * count


def read_service(value: object) -> Service:
    """Read a service time: a mean, exponential, or a distribution with its mean."""
    kind, *rest = _parts(value)
    if not rest:
        return Exponential(read_duration(kind))
    make = _SERVICES.get(kind)
    if make is None:
        raise ConfigurationError(
            f"{kind!r} is no distribution{did_you_mean(kind, _SERVICES)}; choose one "
            f"of: {', '.join(_SERVICES)}, as in 'lognormal:50ms:variation=0.8'"
        )
    mean, *options = rest
    return make(
        read_duration(mean), **_options(options, _SERVICE_OPTIONS.get(kind, {}))
    )


def read_faults(value: object) -> tuple[Fault, ...]:
    """Read a fault, once for each of its servers."""
    kind, *rest = _parts(value)
    make = _FAULTS.get(kind)
    if make is None:
        raise ConfigurationError(
            f"{kind!r} is no fault{did_you_mean(kind, _FAULTS)}; choose one of: "
            f"{', '.join(_FAULTS)}, as in {_FAULT_EXAMPLE!r}"
        )
    if len(rest) < 2:
        raise ConfigurationError(
            f"{value!r} says not whom or not when; write it as {_FAULT_EXAMPLE!r}"
        )
    servers, *what, when = rest
    begins_at, ends_at = _period(when)
    extent = _extent(kind, what)
    return tuple(
        make(server, begins_at, ends_at, **extent) for server in _indexes(servers)
    )


def _parts(value: object) -> list[str]:
    """Take apart what colons separate; numbers stand for themselves."""
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise ConfigurationError(f"{value!r} is no text; put it in quotes")
    return [part.strip() for part in str(value).split(":")]


def _options(options: list[str], known: dict[str, Reader]) -> dict[str, object]:
    given: dict[str, object] = {}
    for option in options:
        name, _, text = (part.strip() for part in option.partition("="))
        if name not in known:
            choices = ", ".join(f"{known_name}=..." for known_name in known) or "none"
            raise ConfigurationError(
                f"{option!r} is no option here; the options are: {choices}"
            )
        given[name] = known[name](text)
    return given


def _period(text: str) -> tuple[float, float]:
    begin, dash, end = text.partition("-")
    if not dash:
        raise ConfigurationError(
            f"{text!r} is no period; write it as 10s-50s, or as 10s- if it never ends"
        )
    ends_at = read_duration(end) if end.strip() else float("inf")
    return (read_duration(begin) if begin.strip() else 0.0), ends_at


def _indexes(text: str) -> Iterator[int]:
    for part in text.split(","):
        first, dash, last = part.partition("-")
        begin = read_integer(first)
        end = read_integer(last) if dash else begin
        if end < begin:
            raise ConfigurationError(f"{part!r} is no range; write it as 0-2")
        yield from range(begin, end + 1)


def _extent(kind: str, what: list[str]) -> dict[str, float]:
    """Read how slow, or what share."""
    match kind, what:
        case (("slow" | "warm"), [text]) if text.endswith("x"):
            return {"slowness": read_number(text[:-1])}
        case (("slow" | "warm"), _):
            raise ConfigurationError(
                f"{kind} needs to know how slow; write it as '{kind}:0:20x:10s-50s'"
            )
        case "fail", [text] if text.endswith("%"):
            return {"share": read_number(text[:-1]) / 100}
        case _, []:
            return {}
    raise ConfigurationError(
        f"{what[0]!r} says nothing of {kind}; write 'fail:0:30%:10s-50s', or "
        f"'{kind}:0:10s-50s'"
    )
