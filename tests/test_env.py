"""Services out of the environment: which, from where, and one balancer for each."""

from __future__ import annotations

import re
import shlex
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lbtransport import ConfigurationError
from lbtransport._env import (
    _Registry,
    balancers_from_environment,
    is_mocked,
    services_of,
)
from lbtransport.config import SETTINGS, ServiceConfig
from tests.config_kit import ORDERS, SECRET, URL, mistake_in


def service_of(environ: dict[str, str]) -> ServiceConfig:
    """Return the one service that an environment declares."""
    (service,) = services_of(environ)
    return service


DOCS = Path(__file__).parent.parent / "docs"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return the path of a file that is not written yet."""
    return tmp_path / "lb.toml"


# Declaring


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"PATH": "/bin", "lbtransport_orders": "lower case is none of ours"},
        {"LBTRANSPORT_SERVICES": " ", "LBTRANSPORT_CONFIG": ""},
        {"LBTRANSPORT_STRATEGY": "random"},
        {"LBTRANSPORT_NEVER_HEARD_OF": ""},
        {"LBTRANSPORT_MOCK": "passthrough"},
    ],
)
def test_nothing_declared_is_no_service(environ: dict[str, str]) -> None:
    assert balancers_from_environment(environ) == {}


def test_services_are_declared_and_set_by_variables() -> None:
    orders, fleet = services_of(
        {
            "LBTRANSPORT_SERVICES": "orders, llm-fleet",
            "LBTRANSPORT_ORDERS_BACKENDS": f"{URL} http://10.0.0.2;weight=3;zone=b",
            "LBTRANSPORT_ORDERS_STRATEGY": "round_robin",
            "LBTRANSPORT_LLM_FLEET_BACKENDS": "https://eu.example.com/v1",
            "LBTRANSPORT_LLM_FLEET_RETRY_ATTEMPTS": "2",
            "LBTRANSPORT_DEADLINE": "10s",
        }
    )

    assert (orders.name, orders.strategy, orders.deadline) == (
        "orders",
        "round_robin",
        10,
    )
    assert [backend.weight for backend in orders.backends] == [1, 3]
    assert (fleet.name, fleet.retry.attempts, fleet.deadline) == ("llm-fleet", 2, 10)


@pytest.mark.parametrize(
    ("name", "variable"),
    [
        ("orders", "ORDERS"),
        ("llm-fleet", "LLM_FLEET"),
        ("orders:8080", "ORDERS_8080"),
        ("Orders.prod.svc", "ORDERS_PROD_SVC"),
    ],
)
def test_variable_has_the_name_upper_cased_and_underscores(
    name: str, variable: str
) -> None:
    environ = {"LBTRANSPORT_SERVICES": name, f"LBTRANSPORT_{variable}_BACKENDS": URL}

    assert service_of(environ).name == name


def test_service_that_is_declared_twice_is_one_service(file: Path) -> None:
    file.write_text("[services.orders]\nzone = 'b'")

    service = service_of(
        {
            **ORDERS,
            "LBTRANSPORT_SERVICES": "orders orders",
            "LBTRANSPORT_CONFIG": str(file),
        }
    )

    assert (service.name, service.zone) == ("orders", "b")


def test_file_declares_services_too(file: Path) -> None:
    file.write_text(f"[services.users]\nbackends = '{URL}'")

    services = services_of({**ORDERS, "LBTRANSPORT_CONFIG": str(file)})

    assert [service.name for service in services] == ["orders", "users"]


def test_name_that_begins_as_another_one_is_a_service_of_its_own() -> None:
    short, long = services_of(
        {
            "LBTRANSPORT_SERVICES": "llm,llm-max",
            "LBTRANSPORT_LLM_BACKENDS": URL,
            "LBTRANSPORT_LLM_MAX_BACKENDS": "http://10.0.0.2",
            "LBTRANSPORT_LLM_MAX_IN_FLIGHT": "7",
        }
    )

    assert (short.max_in_flight, long.max_in_flight) == (7, None)
    assert [backend.url for backend in long.backends] == ["http://10.0.0.2"]


# Precedence


def test_environment_beats_file_and_service_beats_all_within_each(file: Path) -> None:
    file.write_text(
        """
        [defaults]
        zone = "default of the file"
        [services.orders]
        zone = "service of the file"
        """
    )
    environ = {
        **ORDERS,
        "LBTRANSPORT_CONFIG": str(file),
        "LBTRANSPORT_ZONE": "default of the environment",
        "LBTRANSPORT_ORDERS_ZONE": "service of the environment",
    }
    seen = [service_of(environ).zone]

    for variable in ("LBTRANSPORT_ORDERS_ZONE", "LBTRANSPORT_ZONE"):
        del environ[variable]
        seen.append(service_of(environ).zone)
    file.write_text("[defaults]\nzone = 'default of the file'")
    seen.append(service_of(environ).zone)
    file.write_text("")
    seen.append(service_of(environ).zone)

    assert seen == [
        "service of the environment",
        "default of the environment",
        "service of the file",
        "default of the file",
        None,
    ]


def test_policy_may_come_from_several_places(file: Path) -> None:
    file.write_text("[defaults.retry]\nattempts = 4\nmin_wait = 1\nmax_wait = 5")

    service = service_of(
        {
            **ORDERS,
            "LBTRANSPORT_CONFIG": str(file),
            "LBTRANSPORT_RETRY_MAX_WAIT": "3s",
            "LBTRANSPORT_ORDERS_RETRY_ATTEMPTS": "2",
        }
    )

    retry = service.retry
    assert (retry.attempts, retry.min_wait, retry.max_wait) == (2, 1, 3)


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("service", ["ORDERS_", ""])
def test_every_setting_has_a_variable(setting: str, service: str) -> None:
    variable = f"LBTRANSPORT_{service}{setting.upper()}"

    error = mistake_in(lambda: services_of({**ORDERS, variable: "?"}))

    # "?" is no value of most, and where it is not, the setting was understood.
    is_unknown = f"{variable} is unknown" in str(error)
    assert is_unknown == (variable == "LBTRANSPORT_BACKENDS")


# One balancer per service


def test_mistake_in_one_service_leaves_the_others_unmade() -> None:
    registry = _Registry()
    environ = {
        "LBTRANSPORT_SERVICES": "orders,users",
        "LBTRANSPORT_ORDERS_BACKENDS": URL,
        "LBTRANSPORT_USERS_BACKENDS": URL,
        "LBTRANSPORT_USERS_SUBSET": "0",
    }

    with pytest.raises(ConfigurationError):
        registry.balancers_of(services_of(environ))

    assert registry.balancers_of([]) == {}


def test_asking_again_gives_the_same_balancers() -> None:
    first = balancers_from_environment(ORDERS)

    second = balancers_from_environment(dict(ORDERS))

    assert list(first) == ["orders"]
    assert first["orders"] is second["orders"]


def test_the_same_description_from_elsewhere_is_the_same_balancer(file: Path) -> None:
    file.write_text(f"[services.orders]\nbackends = ['{URL}/']")

    first = balancers_from_environment(ORDERS)
    second = balancers_from_environment({"LBTRANSPORT_CONFIG": str(file)})

    assert first["orders"] is second["orders"]


@pytest.mark.parametrize(
    "change",
    [
        {"LBTRANSPORT_ORDERS_BACKENDS": f"{URL};weight=2"},
        {"LBTRANSPORT_ORDERS_BACKENDS": f"http://user:{SECRET}@10.0.0.1:8080"},
        {"LBTRANSPORT_ORDERS_DEADLINE": "2s"},
        {"LBTRANSPORT_HEALTH_FAIL_OPEN": "no"},
    ],
)
def test_changed_description_is_a_new_balancer(change: dict[str, str]) -> None:
    first = balancers_from_environment(ORDERS)

    second = balancers_from_environment({**ORDERS, **change})

    assert first["orders"] is not second["orders"]


def test_change_of_one_service_leaves_the_others_as_they_are() -> None:
    environ = {
        "LBTRANSPORT_SERVICES": "orders,users",
        "LBTRANSPORT_ORDERS_BACKENDS": URL,
        "LBTRANSPORT_USERS_BACKENDS": URL,
    }
    first = balancers_from_environment(environ)

    second = balancers_from_environment({**environ, "LBTRANSPORT_USERS_ZONE": "b"})

    assert first["orders"] is second["orders"]
    assert first["users"] is not second["users"]


def test_threads_that_ask_at_once_get_the_same_balancer() -> None:
    registry = _Registry()
    services = services_of(ORDERS)
    barrier = threading.Barrier(8)

    def ask(_: int) -> object:
        barrier.wait()
        return registry.balancers_of(services)["orders"]

    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(ask, range(8)))

    assert len(found) == 1


def test_child_of_a_fork_does_not_wait_for_a_lock_of_its_parent() -> None:
    registry = _Registry()
    services = services_of(ORDERS)
    before = registry.balancers_of(services)
    is_held, may_end = threading.Event(), threading.Event()

    def hold() -> None:
        with registry._lock:
            is_held.set()
            may_end.wait()

    holder = threading.Thread(target=hold)
    holder.start()
    is_held.wait()

    registry.reset_lock()

    assert registry.balancers_of(services) == before
    may_end.set()
    holder.join()


def test_environment_of_the_process_is_the_default(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for variable, value in ORDERS.items():
        monkeypatch.setenv(variable, value)
    monkeypatch.setenv("LBTRANSPORT_MOCK", "passthrough")

    assert balancers_from_environment() == balancers_from_environment(ORDERS)
    assert is_mocked()


@pytest.mark.parametrize(
    ("value", "expected"),
    [(None, False), ("", False), (" ", False), ("passthrough", True)],
)
def test_mock_is_passthrough_or_none(value: str | None, expected: bool) -> None:
    environ = {} if value is None else {"LBTRANSPORT_MOCK": value}

    assert is_mocked(environ) is expected


# The documentation


def test_documented_variables_and_file_say_the_same(file: Path) -> None:
    page = DOCS / "reference" / "configuration.md"
    shell, toml, *_ = re.findall(
        r"^```[^\n]*(?:shell|toml)\n(.*?)^```",
        page.read_text(encoding="utf-8"),
        re.M | re.S,
    )
    lines = [shlex.split(line)[1] for line in shell.splitlines()]
    environ = {
        name: value for name, _, value in (line.partition("=") for line in lines)
    }
    file.write_text(toml)

    services = services_of(environ)

    assert services == services_of({"LBTRANSPORT_CONFIG": str(file)})
    assert [len(service.backends) for service in services] == [2, 2]
