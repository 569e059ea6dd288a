"""What `lbtransport config` prints of the environment's services."""

from __future__ import annotations

from pathlib import Path

import pytest

from lbtransport import ConfigurationError
from lbtransport._listing import listing
from tests.config_kit import ORDERS, SECRET, URL


def test_service_is_listed_with_its_backends() -> None:
    environ = {**ORDERS, "LBTRANSPORT_ORDERS_BACKENDS": f"{URL} http://b;weight=3"}

    assert list(listing(environ)) == [
        "orders",
        f"    {URL}",
        "    http://b  weight=3.0",
    ]


def test_settings_are_listed_that_are_not_as_by_default() -> None:
    environ = {
        **ORDERS,
        "LBTRANSPORT_DEADLINE": "10s",
        "LBTRANSPORT_ORDERS_STRATEGY": "random",
        "LBTRANSPORT_ORDERS_RETRY_STATUSES": "503 500-502",
        "LBTRANSPORT_ORDERS_HEALTH_MAX_EJECTED": "0.5",
    }

    assert list(listing(environ))[2:] == [
        "    STRATEGY='random'",
        "    DEADLINE=10.0",
        "    RETRY_STATUSES=[500, 501, 502, 503]",
    ]


def test_check_is_listed_without_what_may_be_secret(tmp_path: Path) -> None:
    path = tmp_path / "lb.toml"
    path.write_text(
        f"[services.orders]\nbackends = [{{ url = '{URL}', headers = {{ A = '{SECRET}'"
        f" }} }}, 'http://u:{SECRET}@b']\nchecks = {{ kind = 'http', interval = '5s', "
        f"path = '/up?token={SECRET}', headers = {{ A = '{SECRET}' }} }}"
    )

    lines = list(listing({"LBTRANSPORT_CONFIG": str(path)}))

    assert lines == [
        "orders",
        f"    {URL}",
        "    http://b",
        "    CHECKS=HttpCheck(interval=5.0, path='/up')",
    ]


def test_where_nothing_is_declared_that_is_said() -> None:
    (line,) = listing({})

    assert line.startswith("no service is declared: LBTRANSPORT_SERVICES is not set")


def test_mocking_is_said_as_well() -> None:
    *_, last = listing({**ORDERS, "LBTRANSPORT_MOCK": "passthrough"})

    assert last == "LBTRANSPORT_MOCK is set: all of it is sent through unbalanced"


def test_mistake_is_raised_before_anything_is_listed() -> None:
    environ = {**ORDERS, "LBTRANSPORT_ORDERS_DEADLINE": "soon"}

    with pytest.raises(ConfigurationError, match="LBTRANSPORT_ORDERS_DEADLINE='soon'"):
        next(listing(environ))
