"""Importing one part of the package loads that part alone.

Each import runs in an interpreter of its own, without the site's start-up files, which
would load modules that nobody asked for.
How long it takes is measured by `tests/benchmarks/imports.py`; here it counts what is
loaded, since that is what makes the time.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import lbtransport

CLIENTS = ["requests", "httpx", "httpx2"]
# What takes long to import, or what only a client needs.
HEAVY = {"asyncio", "http", "ssl", "subprocess", "tomllib", "unittest", "xml"}

_LIST_LOADED = """
import json, sys
sys.path += {path!r}
before = set(sys.modules)
import {module}
print(json.dumps(sorted(set(sys.modules) - before)))
"""


def loaded_by(module: str) -> set[str]:
    """Return the packages and modules, by their first names, that an import loads."""
    path = [str(Path(lbtransport.__file__).parents[1]), *sys.path]
    script = _LIST_LOADED.format(path=path, module=module)
    result = subprocess.run(
        [sys.executable, "-I", "-S", "-c", script],
        stdout=subprocess.PIPE,
        text=True,
        timeout=60,
        check=True,
    )
    names: list[str] = json.loads(result.stdout)
    return {name.partition(".")[0] for name in names}


@pytest.mark.parametrize(
    "module",
    [
        "lbtransport",
        "lbtransport.config",
        "lbtransport.events",
        "lbtransport.health",
        "lbtransport.retry",
        "lbtransport.strategies",
    ],
)
def test_core_loads_tenacity_and_nothing_heavy(module: str) -> None:
    loaded = loaded_by(module)

    assert loaded - sys.stdlib_module_names == {"lbtransport", "tenacity"}
    assert loaded & HEAVY == set()


@pytest.mark.parametrize("client", CLIENTS)
def test_module_for_a_client_loads_that_client_alone(client: str) -> None:
    ours = loaded_by(f"lbtransport.{client}") - loaded_by(client)

    assert ours - sys.stdlib_module_names == {"lbtransport", "tenacity"}
    assert "asyncio" not in ours


@pytest.mark.parametrize("module", ["lbtransport.cli", "lbtransport.testing"])
def test_edge_loads_no_client(module: str) -> None:
    loaded = loaded_by(module)

    assert loaded - sys.stdlib_module_names == {"lbtransport", "tenacity"}
