"""Each strategy that a user can name is described."""

from __future__ import annotations

from pathlib import Path

import pytest

from lbtransport.strategies import STRATEGIES

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "strategies.md"


@pytest.mark.parametrize("name", STRATEGIES)
def test_strategy_has_a_section(name: str) -> None:
    assert f"\n## {name}\n" in PAGE.read_text()
