"""What a check may be described as."""

from __future__ import annotations

import dataclasses
import pickle
from typing import Any

import pytest

from lbtransport import ConfigurationError, LoadBalancer
from lbtransport.checks import CustomCheck, HttpCheck, TcpCheck, as_check
from tests.config_kit import SECRET, everything_said
from tests.core_kit import A


def is_well(backend: object) -> bool:
    return True


def test_check_is_off_by_default() -> None:
    assert LoadBalancer("orders", [A]).checking._check is None


@pytest.mark.parametrize(
    "check", [HttpCheck(), TcpCheck(), CustomCheck(is_well)], ids=repr
)
def test_described_check_is_taken_as_it_is(check: Any) -> None:
    assert as_check(check) is check
    assert (check.interval, check.timeout, check.fall, check.rise) == (10, 2, 3, 2)


def test_function_is_a_check_at_the_usual_pace() -> None:
    assert as_check(is_well) == CustomCheck(is_well)


@pytest.mark.parametrize("kind", [HttpCheck, TcpCheck])
def test_pace_is_given_by_name(kind: Any) -> None:
    check = kind(interval=5, down_interval=1, timeout=3, fall=1, rise=4, jitter=0)

    assert check.interval == 5
    with pytest.raises(TypeError):
        TcpCheck(5)  # type: ignore[call-arg]  # what is refused


@pytest.mark.parametrize("value", [7, "http", HttpCheck, object()], ids=repr)
def test_what_is_no_check_is_refused(value: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"checks=.*: give an HttpCheck"):
        LoadBalancer("orders", [A], checks=value)
    with pytest.raises(ConfigurationError, match=r"function=.*: give a function"):
        CustomCheck(value)


BAD: list[tuple[str, Any]] = [
    ("interval", 0),
    ("path", "healthz"),
    ("path", "/a b"),
    ("path", "/\n"),
    ("path", "/\xe9"),
    ("path", 7),
    ("method", "G T"),
    ("method", None),
    ("statuses", []),
    ("statuses", 200),
    ("statuses", [200, "ok"]),
    ("statuses", [100]),
    ("body", "("),
    ("body", 7),
    ("body_limit", 0),
    ("verify", 7),
    ("verify", None),
]


@pytest.mark.parametrize(("name", "value"), BAD, ids=repr)
def test_bad_argument_is_refused(name: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=f"^{name}"):
        HttpCheck(**{name: value})


@pytest.mark.parametrize(
    "headers",
    [{"X Key": SECRET}, {"X-Key": f"{SECRET}\r\nX: y"}],
    ids=["name", "value"],
)
def test_bad_header_is_refused_without_its_value(headers: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match="headers of the check") as refusal:
        HttpCheck(headers=headers)

    assert SECRET not in everything_said(refusal.value)


def test_headers_are_never_shown() -> None:
    check = HttpCheck(headers={"X-Key": SECRET})

    assert SECRET not in repr(check)
    assert SECRET not in repr(pickle.dumps(check))
    assert (check.headers or {})["X-Key"] == SECRET


def test_check_never_changes() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        HttpCheck().path = "/"  # type: ignore[misc]  # what is refused
