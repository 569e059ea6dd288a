"""README.md and all pages of the documentation: their examples run."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.docs.pages import PAGES, ROOT, Page
from tests.servers import LoopbackServer


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_examples_of_a_page_run(
    path: Path, start_server: Callable[..., LoopbackServer], tmp_path: Path
) -> None:
    page = Page(path, start_server, tmp_path)

    page.run()


def test_readme_has_five_recipes_that_reach_servers_under_their_logical_name(
    start_server: Callable[..., LoopbackServer], tmp_path: Path
) -> None:
    page = Page(ROOT / "README.md", start_server, tmp_path)

    page.run()

    assert len(page.requests) == 5
    assert {request.headers["Host"] for request in page.requests} == {"orders", "llm"}


def test_readme_gives_two_commands_that_stand_alone() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")

    commands = re.findall(r"^```console\n(.*?)^```", readme, re.MULTILINE | re.DOTALL)

    command = "python3 -m venv .venv && .venv/bin/pip install -e '.[{}]'"
    command += " && .venv/bin/{}\n"
    assert commands == [
        command.format("demo", "lbtransport demo"),
        command.format("dev", "pytest"),
    ]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_relative_links_of_a_page_lead_somewhere(path: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)[)#]", path.read_text(encoding="utf-8"))

    missing = [link for link in links if not (path.parent / link).exists()]

    assert not missing
