"""The page on simulations: its commands and its file mean what it says."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from lbtransport import cli
from lbtransport._simulate.grammar import read_faults

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "simulate.md"
TEXT = PAGE.read_text(encoding="utf-8")


def test_commands_of_the_page_run_with_the_file_of_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (file,) = re.findall(r"^```{code-block} toml\n(.*?)^```", TEXT, re.M | re.S)
    commands = re.findall(r"^\$ lbtransport (.*)$", TEXT, re.M)
    (tmp_path / "fleet.toml").write_text(file, encoding="utf-8")
    monkeypatch.chdir(tmp_path)

    for line in commands:
        code = cli.main([*shlex.split(line), "--seconds", "11", "--strategy", "random"])

        assert code == 0
    assert len(commands) == 2
    assert (tmp_path / "fleet.svg").exists()


def test_faults_of_the_page_and_of_the_help_are_faults(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        cli.main(["simulate", "--help"])
    helped = re.findall(r"^  (\w+:\d\S*-\S*)", capsys.readouterr().out, re.M)
    written = re.findall(r"^\| `(\w+:\S+)`", TEXT, re.M)

    assert helped == written
    assert len(written) == 6
    assert all(read_faults(fault) for fault in written)
