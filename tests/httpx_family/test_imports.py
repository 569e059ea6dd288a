"""Who imports what, and what is said when a client is missing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import lbtransport


def run(script: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", script],
        cwd=Path(lbtransport.__file__).parents[1],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("module", ["httpx", "httpx2"])
def test_missing_client_is_named_with_its_extra(module: str) -> None:
    script = f"import sys; sys.modules[{module!r}] = None; import lbtransport.{module}"

    result = run(script)

    words = f"ModuleNotFoundError: lbtransport.{module} needs {module}: "
    assert result.returncode == 1
    assert f"{words}pip install 'lbtransport[{module}]'" in result.stderr


@pytest.mark.parametrize(
    ("module", "other"), [("httpx", "httpx2"), ("httpx2", "httpx")]
)
def test_each_client_works_without_the_other(module: str, other: str) -> None:
    script = f"import sys; sys.modules[{other!r}] = None; import lbtransport.{module}"

    result = run(script)

    assert (result.returncode, result.stderr) == (0, "")


def test_core_imports_no_client() -> None:
    clients = ["requests", "httpx", "httpx2", "urllib3", "trio", "anyio"]
    script = (
        f"import sys, lbtransport; print([n for n in {clients!r} if n in sys.modules])"
    )

    assert run(script).stdout == "[]\n"


def test_both_clients_live_in_one_process() -> None:
    script = (
        "import httpx, httpx2, lbtransport.httpx as a, lbtransport.httpx2 as b; "
        "print(issubclass(a.LoadBalancingTransport, httpx.BaseTransport), "
        "issubclass(b.LoadBalancingTransport, httpx2.BaseTransport), "
        "issubclass(a.NoBackendsAvailable, httpx2.ConnectError))"
    )

    assert run(script).stdout == "True True False\n"
