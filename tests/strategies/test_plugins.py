"""Strategies of other distributions: real ones, installed where Python finds them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lbtransport import ConfigurationError, cli
from lbtransport._env import balancers_from_environment
from lbtransport.strategies import STRATEGIES, make_strategy
from lbtransport.strategies._plugins import load_plugin
from lbtransport.strategies.round_robin import RoundRobin
from tests.core_kit import A, B

MODULE = """
from lbtransport.strategies.round_robin import RoundRobin

class Sticky(RoundRobin):
    def __init__(self, patience: int = 3, ratio: float = 0.5, eager: bool = False,
                 mode: str = "calm", zone: str | None = None) -> None:
        super().__init__()
        self.options = (patience, ratio, eager, mode, zone)

class Greedy(RoundRobin):
    def __init__(self, what, /, limit: int, *rest, **more):
        super().__init__()

class Needy(RoundRobin):
    def __init__(self, limit):
        super().__init__()
        self.limit = limit

def make_sticky(patience: int = 9):
    return Sticky(patience)

def make_nothing():
    return "nothing"

NUMBER = 7
"""

Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Install a distribution, as pip leaves it: a module and its metadata."""
    monkeypatch.syspath_prepend(tmp_path)

    def install(name: str, *entries: str, module: str = MODULE) -> None:
        package = name.replace("-", "_")
        (tmp_path / f"{package}.py").write_text(module, encoding="utf-8")
        metadata = tmp_path / f"{package}-1.0.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n", encoding="utf-8"
        )
        lines = "\n".join(["[lbtransport.strategies]", *entries])
        (metadata / "entry_points.txt").write_text(lines, encoding="utf-8")

    load_plugin.cache_clear()
    yield install
    load_plugin.cache_clear()
    for name in ("acme_lb", "other_lb"):
        sys.modules.pop(name, None)


def refusal_of(spec: str) -> ConfigurationError:
    with pytest.raises(ConfigurationError) as refusal:
        make_strategy(spec)
    return refusal.value


@pytest.mark.parametrize("name", ["rush-hour", "rush_hour", "Rush-Hour"])
@pytest.mark.parametrize("written", ["rush-hour", "rush_hour", "Rush_Hour"])
def test_name_of_an_entry_point_makes_a_strategy(
    install: Install, name: str, written: str
) -> None:
    install("acme-lb", f"{written} = acme_lb:Sticky")

    strategy = make_strategy(name)

    assert type(strategy).__name__ == "Sticky"
    assert make_strategy(name) is not strategy


@pytest.mark.parametrize(
    ("spec", "options"),
    [
        ("sticky", (3, 0.5, False, "calm", None)),
        ("sticky;patience=4;eager=true", (4, 0.5, True, "calm", None)),
        ("sticky; ratio = 2 ;mode=wild;zone=b", (3, 2.0, False, "wild", "b")),
    ],
)
def test_options_are_typed_by_the_defaults_of_the_signature(
    install: Install, spec: str, options: tuple[object, ...]
) -> None:
    install("acme-lb", "sticky = acme_lb:Sticky")

    assert vars(make_strategy(spec))["options"] == options


def test_function_that_makes_strategies_will_do(install: Install) -> None:
    install("acme-lb", "sticky = acme_lb:make_sticky")

    assert vars(make_strategy("sticky"))["options"][0] == 9


@pytest.mark.parametrize("name", ["round-robin", "p2c"])
def test_name_of_ours_is_never_shadowed(install: Install, name: str) -> None:
    install("acme-lb", f"{name} = acme_lb:Sticky")

    assert type(make_strategy(name)).__module__.startswith("lbtransport.")


def test_unknown_name_lists_what_is_installed_too(install: Install) -> None:
    install("acme-lb", "Rush-Hour = acme_lb:Sticky", "random = acme_lb:Sticky")

    message = str(refusal_of("rush-ours"))

    choices = message.partition("choose one of: ")[2].split(", ")
    assert choices == sorted([*STRATEGIES, "p2c", "rush_hour"])


def test_what_is_installed_later_is_found(install: Install) -> None:
    refusal_of("sticky")

    install("acme-lb", "sticky = acme_lb:Sticky")

    assert type(make_strategy("sticky")).__name__ == "Sticky"


@pytest.mark.parametrize(
    ("module", "cause"),
    [
        ("import nowhere_at_all", ModuleNotFoundError),
        ("1 / 0", ZeroDivisionError),
        ("", AttributeError),
    ],
)
def test_plugin_that_cannot_be_imported_is_named_with_its_distribution(
    install: Install, module: str, cause: type[Exception]
) -> None:
    install("acme-lb", "sticky = acme_lb:Sticky", module=module)

    refusal = refusal_of("sticky")

    assert "'sticky = acme_lb:Sticky' of the distribution 'acme-lb'" in str(refusal)
    assert cause.__name__ in str(refusal)
    assert isinstance(refusal.__cause__, cause)


@pytest.mark.parametrize(
    ("entry", "complaint"),
    [
        ("NUMBER", "'sticky = acme_lb:NUMBER' of the distribution 'acme-lb', which is"),
        ("make_nothing", "strategy='nothing' is no strategy"),
        ("Needy", "needs the option 'limit'; write it as 'sticky;limit=...'"),
    ],
)
def test_plugin_that_makes_no_strategy_is_refused(
    install: Install, entry: str, complaint: str
) -> None:
    install("acme-lb", f"sticky = acme_lb:{entry}")

    assert complaint in str(refusal_of("sticky"))


def test_option_without_a_default_is_a_text(install: Install) -> None:
    install("acme-lb", "sticky = acme_lb:Needy")

    assert vars(make_strategy("sticky;limit=3"))["limit"] == "3"


def test_only_what_can_be_given_by_name_is_an_option(install: Install) -> None:
    install("acme-lb", "greedy = acme_lb:Greedy")

    assert str(refusal_of("greedy;more=3")).endswith("its options: limit")


def test_two_distributions_with_one_name_are_both_named(install: Install) -> None:
    install("acme-lb", "sticky-one = acme_lb:Sticky")
    install("other-lb", "sticky_one = other_lb:Sticky")

    message = str(refusal_of("sticky-one"))

    assert "'acme-lb'" in message
    assert "'other-lb'" in message


def test_environment_knows_them(install: Install) -> None:
    install("acme-lb", "sticky = acme_lb:Sticky")
    environ = {
        "LBTRANSPORT_SERVICES": "orders",
        "LBTRANSPORT_ORDERS_BACKENDS": f"{A} {B}",
        "LBTRANSPORT_ORDERS_STRATEGY": "Sticky;patience=8",
    }

    balancer = balancers_from_environment(environ)["orders"]

    assert vars(balancer.core._strategy)["options"][0] == 8
    with balancer.select() as selection:
        assert selection.backend.url in {A, B}


def test_mistake_in_the_environment_names_the_variable_and_the_distribution(
    install: Install,
) -> None:
    install("acme-lb", "sticky = acme_lb:Sticky", module="1 / 0")
    environ = {
        "LBTRANSPORT_SERVICES": "orders",
        "LBTRANSPORT_ORDERS_BACKENDS": A,
        "LBTRANSPORT_ORDERS_STRATEGY": "sticky",
    }

    with pytest.raises(ConfigurationError) as refusal:
        balancers_from_environment(environ)

    assert "LBTRANSPORT_ORDERS_STRATEGY='sticky'" in str(refusal.value)
    assert "'acme-lb'" in str(refusal.value)


def test_simulation_compares_them(
    install: Install, capsys: pytest.CaptureFixture[str]
) -> None:
    install("acme-lb", "sticky = acme_lb:Sticky")

    code = cli.main(
        ["simulate", "--strategy", "sticky", "--seconds", "11", "--clients", "2"]
    )

    assert code == 0
    assert "sticky" in capsys.readouterr().out


def test_strategy_without_a_signature_has_no_options(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Silent(type):
        """As classes are that are written in C."""

        @property
        def __signature__(cls) -> object:
            raise ValueError("no signature found")

    class FromC(RoundRobin, metaclass=Silent):
        pass

    monkeypatch.setitem(STRATEGIES, "from_c", FromC)

    assert type(make_strategy("from_c")) is FromC
    assert str(refusal_of("from_c;x=1")).endswith("its options: none")


def test_names_of_ours_cost_no_look_at_what_is_installed() -> None:
    script = (
        "import sys; from lbtransport import LoadBalancer; "
        "LoadBalancer('orders', ['http://10.0.0.1'], strategy='round-robin'); "
        "assert 'importlib.metadata' not in sys.modules"
    )

    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)
