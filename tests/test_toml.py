"""What the file says of each service, and where a mistake in it is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lbtransport import ConfigurationError
from lbtransport._toml import read_file
from tests.config_kit import SECRET, everything_said


def write(folder: Path, text: str | bytes) -> str:
    """Write a file and return its path."""
    path = folder / "lb.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return str(path)


def said(path: str) -> dict[str, dict[str, object]]:
    """Return what a file says, without where it says so."""
    return {
        name: {setting: given.value for setting, given in layer.items()}
        for name, layer in read_file(path).items()
    }


def test_empty_file_says_nothing(tmp_path: Path) -> None:
    assert said(write(tmp_path, "")) == {"": {}}


def test_file_speaks_of_services_and_of_all(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        """
        [defaults]
        strategy = "random"
        retry = { attempts = 4 }

        [services.orders]
        backends = ["http://a", { url = "http://b", weight = 3 }]
        retry_max_wait = "500ms"
        [services.orders.retry]
        attempts = 2
        [services.orders.health]
        fail_open = false

        [services."users.svc:8080"]
        deadline = 2
        """,
    )

    assert said(path) == {
        "": {"strategy": "random", "retry_attempts": 4},
        "orders": {
            "backends": ["http://a", {"url": "http://b", "weight": 3}],
            "retry_max_wait": "500ms",
            "retry_attempts": 2,
            "health_fail_open": False,
        },
        "users.svc:8080": {"deadline": 2},
    }


def test_source_is_the_file_and_the_key(tmp_path: Path) -> None:
    path = write(tmp_path, '[services."a:80".retry]\nattempts = 2')

    given = read_file(path)["a:80"]["retry_attempts"]

    assert given.source == f"{path!r}: services.'a:80'.retry.attempts"


def test_empty_text_is_not_set(tmp_path: Path) -> None:
    path = write(tmp_path, '[defaults]\nzone = ""\nstrategy = " "\nsubset = 0')

    assert said(path) == {"": {"subset": 0}}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "service = 1",
            "'service' is unknown (did you mean services?); its tables are:",
        ),
        ("zzz = 1", "'zzz' is unknown; its tables are: defaults, services"),
        (
            "defaults = 1",
            "defaults is no table; begin one with its name in [brackets], and put the",
        ),
        ("services = 1", "services is no table"),
        ("[services]\norders = 1", "services.orders is no table"),
        ("[services.'http://a']", "services: 'http://a' is no name of a service"),
        ("[services.'']", "services: '' is no name of a service"),
        (
            "[services.orders]\nstratgy = 'random'",
            "services.orders.stratgy is unknown (did you mean strategy?); the settings",
        ),
        (
            "[services.orders.retry]\natempts = 2",
            (
                "services.orders.retry.atempts is unknown (did you mean attempts?); "
                "the settings here are: attempts, statuses, "
            ),
        ),
        ("[services.orders]\nretry = 2", "services.orders.retry is no table"),
        ("[defaults]\nbackends = 'http://a'", "defaults.backends is unknown; the set"),
        (
            "[defaults]\nretry_attempts = 2\nretry.attempts = 3",
            "defaults.retry.attempts is set twice, also as ",
        ),
        (
            "[services.orders:8080]",
            (
                "cannot be read: Expected ']' at the end of a table declaration (at "
                "line 1, column 17); correct it there; TOML is in UTF-8, texts are in "
                "quotes, and so are names with a dot or a colon"
            ),
        ),
        (b"\xff", "cannot be read: 'utf-8' codec can't decode byte 0xff"),
    ],
)
def test_mistake_names_the_file_and_the_key(
    tmp_path: Path, text: str | bytes, message: str
) -> None:
    path = write(tmp_path, text)

    with pytest.raises(ConfigurationError) as raised:
        read_file(path)

    assert re.match(
        f"{re.escape(repr(path))}:? {re.escape(message)}", str(raised.value)
    )


def test_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    path = str(tmp_path / "none.toml")

    with pytest.raises(
        ConfigurationError, match=r"none\.toml' cannot be read: No such"
    ):
        read_file(path)


@pytest.mark.parametrize(
    "text",
    [
        f"key = '{SECRET}'\n[defaults",
        f"key = '{SECRET}'".encode() + b"\xff",
        f"[services.'http://user:{SECRET}@orders']",
        f"[services.orders]\ntoken = '{SECRET}'",
        f"[services.orders]\nretry = '{SECRET}'",
    ],
)
def test_no_secret_of_the_file_is_in_an_error(
    tmp_path: Path, text: str | bytes
) -> None:
    path = write(tmp_path, text)

    with pytest.raises(ConfigurationError) as raised:
        read_file(path)

    assert SECRET not in everything_said(raised.value)


def test_no_secret_of_a_url_in_place_of_a_path_is_in_an_error() -> None:
    with pytest.raises(ConfigurationError) as raised:
        read_file(f"http://user:{SECRET}@config.example/lb.toml")

    assert SECRET not in everything_said(raised.value)
