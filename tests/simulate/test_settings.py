from __future__ import annotations

from pathlib import Path

import pytest

from lbtransport import ConfigurationError
from lbtransport._simulate.settings import read_settings
from lbtransport.strategies import STRATEGIES
from lbtransport.testing import Deterministic, Kill, Server, Slow

FILE = """
servers = ["1", "2:slowness=3"]
utilisation = 0.5
clients = 4
service = "deterministic:100ms"
timeout = "none"
faults = ["slow:0:20x:10s-50s", "kill:1-2:20s-"]
strategies = ["random"]
eject = false
seconds = "30s"
"""


def write(folder: Path, text: str) -> str:
    path = folder / "fleet.toml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_without_settings_ten_servers_are_used_at_70_percent() -> None:
    settings = read_settings(None, {"rate": None})

    assert settings.scenario.servers == (Server(),) * 10
    assert settings.scenario.utilisation == 0.7
    assert settings.eject
    assert (settings.seed, settings.attempts, settings.keys) == (1, 1, None)


def test_all_strategies_that_need_no_key_are_compared_with_the_yardsticks() -> None:
    *compared, oracle, queue = read_settings(None, {}).strategies

    assert (oracle, queue) == ("sed_oracle", "central_queue")
    assert {"random", "round_robin"} <= set(compared)
    assert not {"consistent_hash", "maglev", "rendezvous"} & set(compared)


def test_with_keys_all_strategies_are_compared() -> None:
    assert set(STRATEGIES) < set(read_settings(None, {"keys": "7"}).strategies)


def test_file_says_what_options_can(tmp_path: Path) -> None:
    settings = read_settings(write(tmp_path, FILE), {})

    scenario = settings.scenario
    assert scenario.servers == (Server(), *[Server(slowness=3)] * 2)
    assert (scenario.utilisation, scenario.clients) == (0.5, 4)
    assert (scenario.service, scenario.timeout) == (Deterministic(0.1), None)
    assert scenario.faults == (Slow(0, 10.0, 50.0, 20.0), Kill(1, 20.0), Kill(2, 20.0))
    assert scenario.seconds == 30.0
    assert settings.strategies == ("random",)
    assert not settings.eject


def test_options_win_over_the_file(tmp_path: Path) -> None:
    options = {
        "servers": ["3"],
        "rate": "20",
        "strategies": ["round_robin", "sed_oracle"],
        "timeout": "1s",
        "keys": "100",
        "attempts": "2",
        "seed": "9",
        "clients": None,
    }

    settings = read_settings(write(tmp_path, FILE), options)

    assert len(settings.scenario.servers) == 3
    assert (settings.scenario.rate, settings.scenario.utilisation) == (20.0, None)
    assert settings.scenario.timeout == 1.0
    assert settings.scenario.clients == 4
    assert settings.strategies == ("round_robin", "sed_oracle")
    assert (settings.keys, settings.attempts, settings.seed) == (100, 2, 9)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("servers = ", "fleet.toml' cannot be read: "),
        ("server = 3", r"in the file, 'server' is unknown \(did you mean servers"),
        ("servers = 'x'", "in the file, servers: 'x' is no integer"),
        ("timeout = true", "in the file, timeout: True is no duration"),
        ("rate = 1\nutilisation = 1", "give one of them"),
        ("strategies = []", "name at least one"),
        ("seed = -1", "seed=-1"),
        ("attempts = 0", "attempts=0"),
        ("keys = 0", "keys=0"),
        ("arrivals = 'bursts'", "choose one of: poisson, constant"),
        ("strategies = 'round_robbin'", "'round_robbin' is no strategy"),
    ],
)
def test_mistake_in_a_file_is_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        read_settings(write(tmp_path, text), {})


def test_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigurationError, match=r"none\.toml' cannot be read: No such"
    ):
        read_settings(str(tmp_path / "none.toml"), {})


def test_mistake_in_an_option_is_named() -> None:
    with pytest.raises(ConfigurationError, match=r"^faults: 'x' is no fault"):
        read_settings(None, {"faults": ["x"]})
