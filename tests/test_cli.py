from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from lbtransport import cli
from lbtransport._demo import scenario

ROOT = Path(__file__).parents[1]


def test_version_is_the_distributions(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cli, "version", lambda name: f"1.2.3 of {name}")

    with pytest.raises(SystemExit) as ending:
        cli.main(["--version"])

    assert ending.value.code == 0
    assert capsys.readouterr().out == "lbtransport 1.2.3 of lbtransport\n"


def test_version_says_so_if_nothing_is_installed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(cli, "version", fail)

    with pytest.raises(SystemExit):
        cli.main(["--version"])

    assert capsys.readouterr().out == "lbtransport, not installed\n"


def test_help_names_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ending:
        cli.main(["--help"])

    assert ending.value.code == 0
    help_text = capsys.readouterr().out
    assert "config" in help_text
    assert "demo" in help_text
    assert "simulate" in help_text


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([], "the following arguments are required: COMMAND"),
        (["dmeo"], "invalid choice: 'dmeo'"),
        (["demo", "--seconds", "ten"], "invalid _seconds value: 'ten'"),
        (["demo", "--seconds", "1"], "give at least 2"),
        (["demo", "--seconds", "nan"], "give at least 2"),
        (["demo", "--seconds", "inf"], "give at least 2"),
    ],
)
def test_wrong_arguments_end_with_code_2_and_say_why(
    argv: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ending:
        cli.main(argv)

    assert ending.value.code == 2
    assert message in capsys.readouterr().err


def test_config_lists_what_the_environment_declares(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LBTRANSPORT_SERVICES", "orders")
    monkeypatch.setenv("LBTRANSPORT_ORDERS_BACKENDS", "http://10.0.0.1:8080")

    code = cli.main(["config"])

    assert code == 0
    assert capsys.readouterr().out == "orders\n    http://10.0.0.1:8080\n"


def test_config_with_a_mistake_says_it_and_ends_with_code_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LBTRANSPORT_SERVICES", "orders")

    code = cli.main(["config"])

    assert code == 1
    assert capsys.readouterr() == (
        "",
        (
            "lbtransport config: service 'orders' is declared, but has no backends; "
            "set LBTRANSPORT_ORDERS_BACKENDS to their URLs\n"
        ),
    )


@pytest.mark.parametrize("missing", ["requests", "httpx", "rich"])
def test_demo_without_its_extra_names_it(
    missing: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)

    code = cli.main(["demo"])

    assert code == 2
    error = capsys.readouterr().err
    assert f"needs {missing}, not installed here" in error
    assert "pip install 'lbtransport[demo]'" in error


@pytest.mark.parametrize("code", [0, 1])
def test_demo_hands_its_options_on_and_its_exit_code_back(
    code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: dict[str, object] = {}

    def run_demo(**options: object) -> int:
        given.update(options)
        return code

    monkeypatch.setattr(scenario, "run_demo", run_demo)

    assert cli.main(["demo", "--plain", "--seconds", "2.5"]) == code
    assert given == {"seconds": 2.5, "plain": True}


def test_interrupted_demo_ends_with_the_code_of_a_shell(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run_demo(**options: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(scenario, "run_demo", run_demo)

    assert cli.main(["demo"]) == 130
    assert "interrupted" in capsys.readouterr().err


def test_package_runs_as_a_module() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "lbtransport", "--version"],
        cwd=ROOT,
        env={**os.environ, "PYTHONWARNINGS": "error"},
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.startswith("lbtransport")
    assert not done.stderr
