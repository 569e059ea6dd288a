"""Check what an installation with one extra, or none, can import.

CI runs it, outside pytest, in an environment that holds nothing but the installed wheel
and what that extra brings: `python -I check_extras.py [EXTRA]`.
"""

from __future__ import annotations

import importlib
import sys
from importlib.metadata import metadata
from importlib.resources import files

CLIENTS = ("requests", "httpx", "httpx2")
BROUGHT_BY = {"demo": ("requests", "httpx")}


def check_core() -> None:
    """Check that the package imports, without a client, and is typed."""
    package = importlib.import_module("lbtransport")

    loaded = sys.modules.keys() & {
        *CLIENTS,
        "urllib3",
        "httpcore",
        "trio",
        "rich",
        "matplotlib",
    }
    assert not loaded, f"import lbtransport alone has loaded {sorted(loaded)}"
    for name in package.__all__:
        getattr(package, name)
    assert files("lbtransport").joinpath("py.typed").is_file(), "py.typed is missing"
    assert metadata("lbtransport")["License-Expression"] == "MIT"
    print("lbtransport imports, and loads no client")


def check_present(client: str) -> None:
    """Check that the module for an installed client imports."""
    module = importlib.import_module(f"lbtransport.{client}")
    for name in module.__all__:
        getattr(module, name)
    print(f"lbtransport.{client} imports")


def check_absent(client: str) -> None:
    """Check that without the client, the error says which extra to install."""
    try:
        importlib.import_module(f"lbtransport.{client}")
    except ImportError as error:
        message = str(error)
    else:
        message = "nothing at all"
    print(f"lbtransport.{client} without {client} says: {message}")
    assert f"lbtransport[{client}]" in message, "it should name the extra"


def main(extra: str) -> None:
    """Check the core and each client's module."""
    check_core()
    present = BROUGHT_BY.get(extra, (extra,))
    for client in CLIENTS:
        if client in present:
            check_present(client)
        else:
            check_absent(client)


if __name__ == "__main__":
    main(*sys.argv[1:2] or [""])
