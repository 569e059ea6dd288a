"""Mistakes in the environment: each is named, and none tells a secret."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lbtransport import ConfigurationError
from lbtransport._env import balancers_from_environment, services_of
from lbtransport.config import SETTINGS
from tests.config_kit import ORDERS, SECRET, URL, everything_said


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return the path of a file that is not written yet."""
    return tmp_path / "lb.toml"


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        (
            {"LBTRANSPORT_SERVICES": "http://orders"},
            "LBTRANSPORT_SERVICES='http://orders' is no name of a service; give a",
        ),
        (
            {"LBTRANSPORT_SERVICES": "orders orders/v1"},
            "LBTRANSPORT_SERVICES='orders orders/v1': 'orders/v1' is no name of",
        ),
        (
            {"LBTRANSPORT_SERVICES": "orders"},
            (
                "service 'orders' is declared, but has no backends; set "
                "LBTRANSPORT_ORDERS_BACKENDS to their URLs"
            ),
        ),
        (
            {"LBTRANSPORT_SERVICES": "orders", "LBTRANSPORT_ORDERS_BACKENDS": " "},
            "service 'orders' is declared, but has no backends",
        ),
        (
            {**ORDERS, "LBTRANSPORT_ORDERS_BACKENDS": ","},
            "LBTRANSPORT_ORDERS_BACKENDS=',' holds no backend",
        ),
        (
            {"LBTRANSPORT_SERVICES": "a.b,a-b"},
            "services 'a.b' and 'a-b' would share the variables LBTRANSPORT_A_B_...;",
        ),
        (
            {"LBTRANSPORT_SERVICES": "orders,Orders"},
            "services 'orders' and 'Orders' would share the variables",
        ),
        (
            {"LBTRANSPORT_ORDERS_BACKENDS": URL},
            (
                "LBTRANSPORT_ORDERS_BACKENDS is unknown; declare its service in "
                "LBTRANSPORT_SERVICES (declared: none), or choose one of the settings: "
                "BACKENDS, STRATEGY, "
            ),
        ),
        (
            {**ORDERS, "LBTRANSPORT_ORDERS_STRATGY": "random"},
            (
                "LBTRANSPORT_ORDERS_STRATGY is unknown (did you mean "
                "LBTRANSPORT_ORDERS_STRATEGY?); choose one of the settings of 'orders'"
            ),
        ),
        (
            {**ORDERS, "LBTRANSPORT_ORDERS_RETRY": "off"},
            (
                "LBTRANSPORT_ORDERS_RETRY is unknown; choose one of the settings of "
                "'orders': BACKENDS, STRATEGY, "
            ),
        ),
        (
            {**ORDERS, "LBTRANSPORT_ORDRES_DEADLINE": "1s"},
            (
                "LBTRANSPORT_ORDRES_DEADLINE is unknown (did you mean "
                "LBTRANSPORT_ORDERS_DEADLINE or "
            ),
        ),
        (
            {**ORDERS, "LBTRANSPORT_RETRY_BUDGET_RATIO": "20"},
            (
                "LBTRANSPORT_RETRY_BUDGET_RATIO='20': give retries a request of at "
                "least 0 and at most 1"
            ),
        ),
        (
            {**ORDERS, "LBTRANSPORT_RETRY_HEDGE_PERCENTILE": "95"},
            (
                "LBTRANSPORT_RETRY_HEDGE_PERCENTILE='95': give a part of the answers "
                "of at least 0.5 and at most 0.999"
            ),
        ),
        (
            {**ORDERS, "LBTRANSPORT_ORDERS_CHECKS": "/healthz"},
            (
                "LBTRANSPORT_ORDERS_CHECKS='/healthz' is no kind of check; choose one "
                "of: http, tcp, such as 'http;path=/healthz'"
            ),
        ),
        (
            {"LBTRANSPORT_SERVICE": "orders"},
            "LBTRANSPORT_SERVICE is unknown (did you mean LBTRANSPORT_SERVICES",
        ),
        (
            {**ORDERS, "LBTRANSPORT_orders_ZONE": "b"},
            "LBTRANSPORT_orders_ZONE is unknown (did you mean LBTRANSPORT_ORDERS_ZONE",
        ),
        (
            {**ORDERS, "LBTRANSPORT_BACKENDS": URL},
            "LBTRANSPORT_BACKENDS is unknown (did you mean LBTRANSPORT_ORDERS_BACKENDS",
        ),
        (
            {**ORDERS, "LBTRANSPORT_ORDERS_STRATEGY": "round-robbin"},
            "LBTRANSPORT_ORDERS_STRATEGY='round-robbin' is no strategy; choose one of",
        ),
        (
            {**ORDERS, "LBTRANSPORT_ORDERS_DEADLINE": "soon"},
            "LBTRANSPORT_ORDERS_DEADLINE='soon' is no duration; give seconds, or",
        ),
        (
            {**ORDERS, "LBTRANSPORT_RETRY_MIN_WAIT": "9s"},
            "LBTRANSPORT_RETRY_MIN_WAIT='9s': max_wait=1.0: give seconds of at least 9",
        ),
        (
            {"LBTRANSPORT_STRATEGY": "nonsense"},
            "LBTRANSPORT_STRATEGY='nonsense' is no strategy",
        ),
        (
            {**ORDERS, "LBTRANSPORT_SUBSET": "x", "LBTRANSPORT_ORDERS_SUBSET": "1"},
            "LBTRANSPORT_SUBSET='x' is no integer",
        ),
        (
            {"LBTRANSPORT_MOCK": "yes"},
            "LBTRANSPORT_MOCK='yes': there is one way to mock; give 'passthrough', or",
        ),
        (
            {"LBTRANSPORT_CONFIG": "/no/such/lb.toml"},
            "LBTRANSPORT_CONFIG='/no/such/lb.toml' cannot be read: No such file",
        ),
    ],
)
def test_mistake_names_its_variable_and_what_would_be_right(
    environ: dict[str, str], message: str
) -> None:
    with pytest.raises(ConfigurationError, match=f"^{re.escape(message)}"):
        balancers_from_environment(environ)


def test_mistake_in_the_file_names_the_file_and_the_key(file: Path) -> None:
    file.write_text("[services.orders.retry]\nattempts = 0")
    environ = {**ORDERS, "LBTRANSPORT_CONFIG": str(file)}

    with pytest.raises(ConfigurationError) as raised:
        services_of(environ)

    where = f"{str(file)!r}: services.orders.retry.attempts=0"
    assert str(raised.value) == f"{where}: give an integer of at least 1"


def test_unknown_key_of_the_file_names_the_variable_too(file: Path) -> None:
    file.write_text("service = 1")

    with pytest.raises(ConfigurationError, match=r"^LBTRANSPORT_CONFIG='.*lb\.toml': "):
        services_of({"LBTRANSPORT_CONFIG": str(file)})


@pytest.mark.parametrize(
    ("services", "readings"),
    [
        ("orders", "'max_zone' of 'orders' or 'zone' of 'orders-max'"),
        ("max", "'max_zone' of all services or 'zone' of 'max'"),
    ],
)
def test_variable_with_two_readings_is_refused(
    monkeypatch: pytest.MonkeyPatch, services: str, readings: str
) -> None:
    # No setting ends as another one does today; a policy may gain a field that does.
    monkeypatch.setitem(SETTINGS, "max_zone", SETTINGS["zone"])
    names = f"{services},orders-max" if services == "orders" else services
    variable = f"LBTRANSPORT_{'ORDERS_' if services == 'orders' else ''}MAX_ZONE"

    with pytest.raises(
        ConfigurationError, match=f"^{variable}='b' may mean {readings};"
    ):
        services_of({"LBTRANSPORT_SERVICES": names, variable: "b"})


@pytest.mark.parametrize(
    "environ",
    [
        {**ORDERS, "LBTRANSPORT_ORDERS_BACKENDS": f"http://u:{SECRET}@a:port"},
        {**ORDERS, "LBTRANSPORT_ORDERS_BACKENDS": f"http://u:{SECRET},x@a"},
        {**ORDERS, "LBTRANSPORT_ORDERS_BACKENDS": f"http://a/?v=1,2;token={SECRET}"},
        {**ORDERS, "LBTRANSPORT_ORDERS_BACKENDS": f"http://a#{SECRET}, http://b"},
        {**ORDERS, "LBTRANSPORT_ORDERS_STRATEGY": f"http://u:{SECRET}@a"},
        {**ORDERS, "LBTRANSPORT_ORDERS_TOKEN": SECRET},
        {"LBTRANSPORT_SERVICES": f"http://u:{SECRET}@a"},
        {"LBTRANSPORT_SERVICES": f"http://u:{SECRET},x@a"},
        {"LBTRANSPORT_CONFIG": f"http://u:{SECRET}@a/lb.toml"},
        {"LBTRANSPORT_MOCK": f"http://u:{SECRET}@a"},
    ],
)
def test_no_secret_is_in_a_mistake_nor_in_its_chain(environ: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError) as raised:
        balancers_from_environment(environ)

    assert SECRET not in everything_said(raised.value)
