"""One description of a service: what it may say, and the balancer made of it."""

from __future__ import annotations

import dataclasses
import inspect
import re
import ssl
from pathlib import Path
from typing import Any

import pytest

from lbtransport import (
    Backend,
    ConfigurationError,
    HealthPolicy,
    LoadBalancer,
    RetryPolicy,
)
from lbtransport import config as config_module
from lbtransport._key_rules import make_key_rule
from lbtransport.checks import HttpCheck, TcpCheck
from lbtransport.config import (
    POLICIES,
    SETTINGS,
    Given,
    ServiceConfig,
    Setting,
    check_name,
    configure,
    settings_for,
)
from tests.config_kit import SECRET, everything_said

DOCS = Path(__file__).parent.parent / "docs"
URL = "http://10.0.0.1"

# Python alone can say these; the environment cannot, or not yet.
NOT_SETTINGS = {"discovery", "clock", "rng"}


def given(**values: object) -> dict[str, Given]:
    """Return settings as if each had come from a variable of its own name."""
    return {name: Given(name.upper(), value) for name, value in values.items()}


# The settings


def test_description_has_the_arguments_of_the_balancer() -> None:
    arguments = set(inspect.signature(LoadBalancer).parameters)

    fields = {field.name for field in dataclasses.fields(ServiceConfig)}

    assert fields == arguments - NOT_SETTINGS


@pytest.mark.parametrize(
    ("prefix", "policy"), [("retry", RetryPolicy()), ("health", HealthPolicy())]
)
def test_each_field_of_a_policy_is_a_setting_with_its_default(
    prefix: str, policy: Any
) -> None:
    found = {
        setting.field: setting.default
        for setting in SETTINGS.values()
        if setting.policy == prefix
    }

    written = {field.name for field in dataclasses.fields(policy)} - {"is_failure"}

    assert found == {name: getattr(policy, name) for name in written}
    assert {f"{prefix}_{field}" for field in found} <= set(SETTINGS)


def test_defaults_are_those_of_the_balancer() -> None:
    parameters = inspect.signature(LoadBalancer).parameters

    for setting in SETTINGS.values():
        if not setting.policy and setting.name != "backends":
            assert setting.default == parameters[setting.name].default


def test_policies_are_the_tables() -> None:
    assert POLICIES == ("retry", "health")


def test_backends_are_no_default_for_all() -> None:
    assert "backends" in settings_for("orders")
    assert [*settings_for("orders")] == ["backends", *settings_for("")]


# The documentation


def documented() -> dict[str, list[str]]:
    """Return the table of settings: key, value, default and meaning by variable."""
    page = DOCS / "reference" / "configuration.md"
    section = page.read_text(encoding="utf-8").partition("\n## Settings\n")[2]
    rows = re.findall(r"^\| `(\w+)` \|(.*)\|$", section.partition("\n## ")[0], re.M)
    return {name: [cell.strip(" `") for cell in row.split("|")] for name, row in rows}


def test_every_setting_is_documented_and_nothing_else_is() -> None:
    assert list(documented()) == [name.upper() for name in SETTINGS]


@pytest.mark.parametrize("setting", SETTINGS.values(), ids=lambda setting: setting.name)
def test_setting_is_documented_with_its_key_and_its_default(setting: Setting) -> None:
    key, _, default, meaning = documented()[setting.name.upper()]
    is_none = setting.default in (None, ())

    assert key == ".".join(filter(None, [setting.policy, setting.field]))
    assert is_none if not default else setting.read(default) == setting.default
    assert meaning.endswith(".")


def test_options_of_a_check_are_documented() -> None:
    page = (DOCS / "reference" / "configuration.md").read_text(encoding="utf-8")
    section = page.partition("\n## Checks\n")[2].partition("\n## ")[0]

    for option in inspect.signature(HttpCheck).parameters:
        assert f"`{option}`" in section or option == "headers"


# Names


@pytest.mark.parametrize("name", ["orders", "Orders.svc", "llm-fleet", "orders:8080"])
def test_name_is_a_host_with_or_without_a_port(name: str) -> None:
    check_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "http://orders",
        "orders/v1",
        "orders:http",
        "orders:99999",
        "a b",
        "u@orders",
    ],
)
def test_what_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match="is no name of a service"):
        ServiceConfig(name)


def test_name_with_credentials_is_refused_without_them() -> None:
    with pytest.raises(ConfigurationError) as raised:
        check_name(f"http://user:{SECRET}@orders")

    assert SECRET not in everything_said(raised.value)


# The description


def test_nothing_said_is_the_default() -> None:
    assert configure("orders", {}) == ServiceConfig("orders")


def test_everything_said_is_in_the_description() -> None:
    service = configure(
        "orders:8080",
        given(
            backends=f"{URL};weight=3",
            strategy="least-connections",
            key="header:X-User, path",
            deadline="2s",
            max_in_flight="7",
            max_queued="9",
            queue_timeout="250ms",
            zone="b",
            subset="2",
            host="backend",
            tls_name="orders.example",
            allow_plaintext="yes",
            retry_attempts="2",
            retry_statuses="503",
            retry_max_wait="500ms",
            health_max_ejected="0.25",
            health_fail_open="no",
        ),
    )

    assert service == ServiceConfig(
        "orders:8080",
        (Backend(URL, weight=3),),
        strategy="least-connections",
        key=("header:X-User", "path"),
        deadline=2.0,
        max_in_flight=7,
        max_queued=9,
        queue_timeout=0.25,
        zone="b",
        subset=2,
        host="backend",
        tls_name="orders.example",
        allow_plaintext=True,
        retry=RetryPolicy(attempts=2, statuses={503}, max_wait=0.5),
        health=HealthPolicy(max_ejected=0.25, fail_open=False),
    )


def test_balancer_is_what_the_description_says() -> None:
    service = ServiceConfig(
        "orders",
        (Backend(URL, weight=3),),
        strategy="consistent_hash",
        key=("path",),
        deadline=2.0,
        host="backend",
        tls_name="orders.example",
        allow_plaintext=True,
        retry=RetryPolicy(attempts=2),
    )

    balancer = service.make_balancer()

    assert balancer.name == "orders"
    assert [backend.weight for backend in balancer.backends] == [3]
    assert balancer.deadline == 2.0
    assert balancer.key_rule == make_key_rule("path")
    assert (balancer.host, balancer.tls_name) == ("backend", "orders.example")
    assert balancer.allow_plaintext
    assert balancer.plan.policy == RetryPolicy(attempts=2)


def test_every_argument_reaches_the_balancer(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, object] = {}

    def make(name: str, backends: object, **arguments: object) -> None:
        seen.update(arguments, name=name, backends=backends)

    monkeypatch.setattr(config_module, "LoadBalancer", make)
    service = ServiceConfig("orders", (Backend(URL),), zone="b", subset=2)

    service.make_balancer()

    assert seen == {
        field.name: getattr(service, field.name)
        for field in dataclasses.fields(ServiceConfig)
    }


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("header:X-User", ("header:X-User",)),
        (
            "header:X-User,cookie:session path",
            ("header:X-User", "cookie:session", "path"),
        ),
        (["path", "header:X-User"], ("path", "header:X-User")),
        ("none", None),
    ],
)
def test_rules_for_keys_stay_in_their_order(written: object, meant: object) -> None:
    assert configure("orders", given(key=written)).key == meant


def test_rule_without_effect_is_warned_of_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    configure("orders", given(key="path", strategy="random")).make_balancer()

    assert len(caplog.records) == 1


@pytest.mark.parametrize(
    "other",
    [
        ServiceConfig("users", (Backend(URL),)),
        ServiceConfig("orders"),
        ServiceConfig("orders", (Backend(URL, weight=2),)),
        ServiceConfig("orders", (Backend(URL, headers={"A": "b"}),)),
        ServiceConfig("orders", (Backend(URL),), deadline=1),
        ServiceConfig("orders", (Backend(URL),), retry=RetryPolicy(attempts=2)),
        "orders",
    ],
)
def test_descriptions_differ_when_anything_does(other: object) -> None:
    service = ServiceConfig("orders", (Backend(URL),))

    assert service != other


def test_descriptions_that_say_the_same_are_equal() -> None:
    headers = {"Authorization": SECRET}
    one = ServiceConfig("orders", (Backend(URL, headers=headers),))

    other = ServiceConfig("orders", (Backend(f"{URL}/", headers=dict(headers)),))

    assert one == other
    assert hash(one) == hash(other)


# Mistakes


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"strategy": "round-robbin"},
            "STRATEGY='round-robbin' is no strategy; choose one of: ",
        ),
        (
            {"strategy": "random;speed=9"},
            "STRATEGY='random;speed=9': strategy 'random' has no option 'speed'",
        ),
        (
            {"key": "headr:X-User"},
            "KEY='headr:X-User' is no rule for keys; write header:<name>, ",
        ),
        (
            {"key": "header:X-User, path:/"},
            "KEY='header:X-User, path:/': 'path:/' is no rule for keys; ",
        ),
        ({"key": ","}, "KEY=',': no rule is named; write header:<name>, "),
        ({"key": 17}, "KEY=17 is no list; separate its items by commas or blanks"),
        ({"deadline": "soon"}, "DEADLINE='soon' is no duration; give seconds"),
        ({"deadline": "-1s"}, "DEADLINE='-1s': give seconds above 0"),
        (
            {"max_queued": "5"},
            "MAX_QUEUED='5': without max_in_flight there is always room",
        ),
        ({"max_in_flight": "0"}, "MAX_IN_FLIGHT='0': give an integer of at least 1"),
        ({"subset": 0}, "SUBSET=0: give an integer of at least 1"),
        ({"retry_attempts": "0"}, "RETRY_ATTEMPTS='0': give an integer of at least 1"),
        (
            {"retry_statuses": "200"},
            "RETRY_STATUSES='200': statuses=200: give an integer",
        ),
        ({"retry_statuses": "5xx"}, "RETRY_STATUSES='5xx' is no integer"),
        (
            {"health_max_ejected": "1.5", "health_fail_open": "no"},
            "HEALTH_MAX_EJECTED='1.5': give a part of the backends of at least 0",
        ),
        (
            {"backends": "ftp://a"},
            "BACKENDS='ftp://a': backend 'ftp://a' does not begin",
        ),
        ({"backends": ","}, "BACKENDS=',' holds no backend"),
        # Wrong only beside the default of another one.
        (
            {"retry_min_wait": "5s", "retry_attempts": "2"},
            "RETRY_MIN_WAIT='5s': max_wait=1.0: give seconds of at least 5",
        ),
        # Wrong only together: both are named, and what is innocent is not.
        (
            {
                "zone": "b",
                "retry_min_wait": "500ms",
                "retry_attempts": "2",
                "retry_max_wait": "200ms",
            },
            "RETRY_MIN_WAIT='500ms', RETRY_MAX_WAIT='200ms': max_wait=0.2: give",
        ),
        # Two that are wrong apart: one at a time.
        (
            {"deadline": "-1s", "subset": "0"},
            "SUBSET='0': give an integer of at least 1",
        ),
    ],
)
def test_mistake_names_its_source_and_what_would_be_right(
    values: dict[str, object], message: str
) -> None:
    with pytest.raises(ConfigurationError, match=f"^{re.escape(message)}") as raised:
        configure("orders", given(**values))

    assert isinstance(raised.value.__cause__, ConfigurationError)


@pytest.mark.parametrize(
    "values",
    [
        {"backends": f"http://user:{SECRET}@a:port"},
        {"backends": f"http://user:{SECRET},@a"},
        {"backends": [{"url": "http://a", "headers": {"A": SECRET}, "wait": 1}]},
        {"strategy": f"http://user:{SECRET}@a"},
        {"strategy": f"user:{SECRET}@a", "zone": "b"},
        {"deadline": f"http://user:{SECRET}@a"},
        {"retry_statuses": f"http://user:{SECRET}@a"},
    ],
)
def test_no_secret_is_in_a_mistake_nor_in_its_chain(values: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError) as raised:
        configure("orders", given(**values))

    assert SECRET not in everything_said(raised.value)


def test_no_secret_is_in_the_repr_of_a_description() -> None:
    what = given(backends=f"http://user:{SECRET}@a")

    service = configure("orders", what)

    assert SECRET not in repr(service)
    assert SECRET not in f"{what} {what['backends']}"


# Active checks


def test_descriptions_with_other_checks_differ() -> None:
    one, same, other = (
        ServiceConfig("orders", checks=HttpCheck(path)) for path in ("/a", "/a", "/b")
    )

    assert one == same
    assert hash(one.checks) == hash(same.checks)
    assert one != other
    context = ssl.create_default_context()
    trusting = [ServiceConfig("orders", checks=HttpCheck(verify=context))] * 2
    assert trusting[0] == trusting[1]


def test_balancer_has_the_check_of_its_description() -> None:
    made = configure("orders", given(backends=URL, checks="tcp;interval=5s"))

    assert made.checks == TcpCheck(interval=5)
    assert made.make_balancer().checking._check == TcpCheck(interval=5)
