"""The command as users call it: real simulations, small ones."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from xml.etree import ElementTree

import matplotlib as mpl
import pytest

from lbtransport import cli

SMALL = ["simulate", "--servers", "3", "--seconds", "3s", "--warmup", "1s"]


def test_strategies_are_compared(capsys: pytest.CaptureFixture[str]) -> None:
    code = cli.main(
        [*SMALL, "--strategy", "random", "--strategy", "sed_oracle", "--seed", "5"]
    )

    assert code == 0
    captured = capsys.readouterr()
    lines = captured.out.splitlines()
    assert lines[0] == "3 servers, 1 client, 168 requests/s, seed 5"
    assert lines[3].split()[:3] == ["strategy", "p50", "p99"]
    assert [line.split()[0] for line in lines[4:]] == ["random", "sed_oracle"]
    assert not captured.err


def test_faults_retries_and_keys_matter(capsys: pytest.CaptureFixture[str]) -> None:
    faults = ["--fault", "fail:0:1s-", "--fault", "slow:1:2x:1s-"]
    chosen = ["--strategy", "round_robin", "--keys", "9"]

    cli.main([*SMALL, *faults, *chosen, "--no-ejection"])
    once = capsys.readouterr().out.splitlines()[-1].split()
    cli.main([*SMALL, *faults, *chosen, "--no-ejection", "--attempts", "2"])
    twice = capsys.readouterr().out.splitlines()[-1].split()

    assert once[4].startswith("33.")
    # The budget bears retries of a fifth of the requests, and a few more.
    assert 33.3 - 20 - 6 < float(twice[4].rstrip("%")) < 33.3 - 20


def test_picture_names_the_strategies_and_the_server_with_a_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(mpl.rcParams, "svg.fonttype", "none")  # texts stay texts
    paths = [tmp_path / "first.svg", tmp_path / "second.svg"]
    chosen = ["--strategy", "random", "--strategy", "sed_oracle"]
    faults = ["--fault", "kill:1:2s-", "--fault", "slow:2:3x:0s-1s"]

    for path in paths:
        # So few requests that some windows have none.
        code = cli.main([*SMALL, *chosen, *faults, "--rate", "2", "--plot", str(path)])
        assert code == 0

    texts = "".join(ElementTree.parse(paths[0]).getroot().itertext())
    assert "random" in texts
    assert "sed_oracle" in texts
    assert "Share of server 1 over time" in texts
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_picture_has_the_format_of_its_ending(tmp_path: Path) -> None:
    path = tmp_path / "picture.png"

    cli.main([*SMALL, "--strategy", "random", "--plot", str(path)])

    assert path.read_bytes().startswith(b"\x89PNG")


def test_file_is_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "fleet.toml"
    path.write_text('servers = 2\nstrategies = ["random"]\n', encoding="utf-8")

    cli.main(["simulate", str(path), "--seconds", "12s", "--plain"])

    assert capsys.readouterr().out.startswith("2 servers,")


def test_progress_is_shown_on_a_terminal_and_wiped(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)

    cli.main([*SMALL, "--strategy", "random"])

    written = capsys.readouterr().err
    assert "simulating random, 1 of 1" in written
    assert written.endswith("\r\x1b[K")


def test_simulated_trouble_is_not_logged_to_the_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = logging.getLogger("lbtransport").handlers.copy()

    cli.main([*SMALL, "--strategy", "random", "--fault", "kill:0-2:1s-"])

    assert not capsys.readouterr().err
    assert logging.getLogger("lbtransport").handlers == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--servers", "x"], "lbtransport simulate: servers: 'x' is no integer"),
        (["--fault", "slow:7:2x:1s-"], "there is no server 7"),
        (["--strategy", "best"], "'best' is no strategy"),
        (["--plot", "picture.bmp"], "end it with one of: .svg, .png, .pdf"),
        (["--plot", "nowhere/picture.svg"], "there is no folder nowhere"),
        (["none.toml"], "'none.toml' cannot be read"),
    ],
)
def test_mistakes_end_with_code_2_and_say_why(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code = cli.main([*SMALL, *arguments])

    assert code == 2
    assert message in capsys.readouterr().err


def test_picture_without_its_extra_names_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)

    code = cli.main([*SMALL, "--plot", "picture.svg"])

    assert code == 2
    assert "pip install 'lbtransport[plot]'" in capsys.readouterr().err
