"""What importing the core costs, and who spends it.

Each import runs in an interpreter of its own, which starts without the site's files, so
that nothing is there already; its own start is not counted.
Imports take turns, and the median counts.
The bare interpreter's start stands beside them, to tell machines apart, as do a few
modules of the standard library, and tenacity with all that it loads.

    python tests/benchmarks/imports.py [--rounds 25]
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from pathlib import Path

import lbtransport

_TIMED = """
import sys, time
sys.path += {path!r}
began = time.perf_counter()
import {module}
print(time.perf_counter() - began)
"""
_STANDARD = "dataclasses, logging, typing"  # what hardly any package does without
_MODULES = (_STANDARD, "tenacity", "lbtransport")
_SHOWN = 12  # modules in the list of who spends it


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a bare interpreter."""
    return subprocess.run(
        [sys.executable, "-I", "-S", *arguments],
        capture_output=True,
        text=True,
        check=True,
    )


def script(module: str) -> str:
    """Return what prints the seconds that an import takes."""
    path = [str(Path(lbtransport.__file__).parents[1]), *sys.path]
    return _TIMED.format(path=path, module=module)


def start_up() -> float:
    """Return the seconds in which an interpreter starts and ends."""
    began = time.perf_counter()
    run("-c", "pass")
    return time.perf_counter() - began


def least_own_times(rounds: int) -> dict[str, int]:
    """Return the least microseconds that each module took by itself."""
    least: dict[str, int] = {}
    for _ in range(rounds):
        lines = run("-X", "importtime", "-c", script("lbtransport")).stderr.splitlines()
        for line in lines[1:]:
            own, _, name = line.removeprefix("import time:").split("|")
            least[name.strip()] = min(least.get(name.strip(), sys.maxsize), int(own))
    return least


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=25)
    rounds = parser.parse_args().rounds
    bare: list[float] = []
    times: dict[str, list[float]] = {module: [] for module in _MODULES}
    for _ in range(rounds):
        bare.append(start_up())
        for module, taken in times.items():
            taken.append(float(run("-c", script(module)).stdout))
    print(f"{'milliseconds':36} {'median':>8} {'least':>8}")
    rows = {"a bare interpreter": bare}
    rows |= {f"import {module}": taken for module, taken in times.items()}
    pairs = zip(times["tenacity"], times["lbtransport"], strict=True)
    rows["  added to tenacity"] = [ours - theirs for theirs, ours in pairs]
    for name, row in rows.items():
        print(f"{name:36} {statistics.median(row) * 1e3:8.1f} {min(row) * 1e3:8.1f}")

    print(f"\nby module itself, the least of {rounds}, milliseconds:")
    own_times = least_own_times(rounds)
    for name in sorted(own_times, key=own_times.__getitem__, reverse=True)[:_SHOWN]:
        print(f"{name:32} {own_times[name] / 1e3:6.1f}")


if __name__ == "__main__":
    main()
