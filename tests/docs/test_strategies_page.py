"""The page "Which strategy when": what it shows is what its commands make."""

from __future__ import annotations

import re
import runpy
import shlex
from pathlib import Path

import pytest

from lbtransport._simulate.settings import read_settings
from tests.docs.pages import ROOT

PAGE = ROOT / "docs" / "explanation" / "strategies.md"
EXAMPLES = ROOT / "docs" / "examples"
BLOCKS = re.findall(
    r"^```console\n\$ lbtransport simulate (.*)\n((?:.*\n)*?)```",
    PAGE.read_text(encoding="utf-8"),
    re.MULTILINE,
)
MOST_BYTES = 72 * 1024


@pytest.mark.parametrize(("command", "printed"), BLOCKS)
def test_table_has_the_strategies_of_the_commands_file(
    command: str, printed: str
) -> None:
    file, *_ = shlex.split(command)
    settings = read_settings(str(ROOT / file), {})
    table = printed.partition("\n\n")[2].splitlines()

    assert [row.split()[0] for row in table[1:]] == list(settings.strategies)
    assert f"{len(settings.scenario.servers)} servers" in printed


@pytest.mark.parametrize("command", [block[0] for block in BLOCKS if "svg" in block[0]])
def test_picture_of_a_command_is_shown_and_small(command: str) -> None:
    picture = ROOT / shlex.split(command)[-1]

    assert f"]({picture.name})" in PAGE.read_text(encoding="utf-8")
    assert picture.stat().st_size < MOST_BYTES


def test_every_example_is_on_the_page() -> None:
    files = {shlex.split(command)[0] for command, _ in BLOCKS}

    assert files == {str(file.relative_to(ROOT)) for file in EXAMPLES.glob("*.toml")}


def test_pages_are_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "small.toml").write_text(
        'servers = "2"\nrate = 20\nseconds = "15s"\nstrategies = ["random"]\n',
        encoding="utf-8",
    )
    page = (
        "Before.\n\n```console\n"
        "$ lbtransport simulate small.toml --plain --plot a.svg\n"
        "what it printed once\n```\n\n```console\n$ pip list\n```\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(ROOT)
    regenerate = runpy.run_path(str(EXAMPLES / "regenerate.py"))["regenerate"]

    made = regenerate(page)

    assert made.startswith("Before.\n\n```console\n$ lbtransport simulate small.toml")
    assert "a.svg\n2 servers, 1 client, 20 requests/s, seed 1\n" in made
    assert "\nrandom " in made
    assert "printed once" not in made
    assert made.endswith("```\n\n```console\n$ pip list\n```\n")
    assert made == regenerate(made)
    picture = (tmp_path / "a.svg").read_text(encoding="utf-8")
    assert "Errors over time" in picture
    assert not re.search(r"\d\.\d\d", picture)
