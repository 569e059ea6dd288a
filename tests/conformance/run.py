"""Run the clients' own test suites with all that they send going through lbtransport.

```console
$ python tests/conformance/run.py [--keep DIRECTORY] [requests | httpx | httpx2 ...]
```

Each suite is that of the release which is pinned beside this file, and runs in an
environment of its own: once bare, and once at each of the levels of `levels`.
A test that passes bare and not at a level is *lost*; it is run once more, alone,
before it counts, because a few are flaky on a busy machine.
What fails bare is no concern of ours: some tests need the internet.

The source distribution of httpx2 has no tests, so httpx's are run with httpx2, through
its own `alias_httpx`.
Those that look for httpx's name or version, in its user agent say, then fail bare.

Exits with 1 if a test was lost that `_EXPECTED` does not name, or names in vain.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import socket
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

_HERE = Path(__file__).resolve().parent
_CHECKOUT = _HERE.parents[1]
_LEVELS = ("unconfigured", "identity", "swapped")
_LONGEST_RUN = 900  # seconds; a suite takes one minute, and one that hangs for ever
_MOST_RERUNS = 10  # where more are lost it is no flaw of the machine
_LINE = "{:9} {:13} {:>6} {:>6} {:>7} {:>6} {:>8} {:>9}"

# httpcore leaves the body of a request that it could not send to the collector, and
# trio says so if that comes before the test has ended, as it may.
_LEFT_GENERATORS = "ignore:Async generator:ResourceWarning"
_DEPRECATED_CLI = "ignore:`httpx2.main` is deprecated:DeprecationWarning"


@dataclass(frozen=True)
class Suite:
    """One client's tests.

    Attributes:
        client: Its name, and that of the file with what is installed.
        tests_of: Whose source distribution has the tests.
        plugins: What leads the client through us comes last.
        ignored: Warnings that are none of ours, in pytest's notation.
        workers: How many tests run at a time.
        port: Where the suite's server listens; None if it takes any.
    """

    client: str
    tests_of: str
    plugins: tuple[str, ...]
    ignored: tuple[str, ...] = ()
    workers: int = 1
    port: int | None = None


_SUITES = (
    # Its tests mostly wait, so there may be more of them than processors.
    Suite("requests", "requests", ("through_requests",), workers=4),
    Suite("httpx", "httpx", ("through_httpx",), (_LEFT_GENERATORS,), port=8000),
    Suite(
        "httpx2",
        "httpx",
        ("alias_httpx2", "through_httpx"),
        (_LEFT_GENERATORS, _DEPRECATED_CLI),
        port=8000,
    ),
)

_ADDRESS = "prints the address that it connected to, which is the backend's"
_EXPECTED: Mapping[tuple[str, str], Mapping[str, str]] = {
    ("httpx", "swapped"): {
        "tests/test_main.py::test_verbose": _ADDRESS,
        "tests/test_main.py::test_auth": _ADDRESS,
    },
}


@dataclass(frozen=True)
class Run:
    """What came of a suite.

    Attributes:
        outcomes: "passed", "failed" or "skipped", by test.
        balanced: Requests that went through a balancer.
    """

    outcomes: Mapping[str, str]
    balanced: int

    def passed(self, test: str) -> bool:
        """Tell whether a test passed."""
        return self.outcomes.get(test) == "passed"

    def count(self, outcome: str) -> int:
        """Return how many tests came to an outcome."""
        return list(self.outcomes.values()).count(outcome)


class Bench:
    """Where one suite runs: its tests, and an environment with what they need."""

    def __init__(self, suite: Suite, directory: Path) -> None:
        """Download and install what is not there yet."""
        self._suite = suite
        self._tests = directory / f"{suite.client}-tests"
        self._environment = directory / f"{suite.client}-environment"
        self._scratch = directory
        if not self._tests.exists():
            self._unpack(_download(suite.tests_of, directory))
        if not self._environment.exists():
            _run([sys.executable, "-m", "venv", str(self._environment)])
        pins = str(_pins(suite.client))
        _run([self._python, "-m", "pip", "install", "-r", pins, "-e", str(_CHECKOUT)])

    @property
    def _python(self) -> str:
        return str(self._environment / "bin" / "python")

    def _unpack(self, archive: Path) -> None:
        """Unpack all but the package itself: what is tested is what was installed."""
        package = {"src", self._suite.tests_of}
        with tarfile.open(archive) as packed:
            for member in packed.getmembers():
                member.name = member.name.partition("/")[2]
                if member.name and member.name.split("/")[0] not in package:
                    packed.extract(member, self._tests, filter="data")

    def run(self, level: str | None, tests: Iterable[str] = ()) -> Run:
        """Run the suite, or some tests of it, each alone.

        Args:
            level: One of `_LEVELS`; None for bare.
            tests: Which; by default all.
        """
        suite, selected = self._suite, list(tests)
        if suite.port is not None:
            _require_port(suite.port, suite.tests_of)
        results, tally = self._scratch / "results.json", self._scratch / "tally"
        for old in (results, tally):
            old.unlink(missing_ok=True)
        plugins = ["outcomes", *suite.plugins[:-1]]
        if level is not None:
            plugins += ["levels", suite.plugins[-1]]
        command = [self._python, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
        command += [word for plugin in plugins for word in ("-p", plugin)]
        command += [word for warning in suite.ignored for word in ("-W", warning)]
        if suite.workers > 1 and not selected:
            command += ["-n", str(suite.workers), "--dist", "worksteal"]
        said = _run(
            [*command, *(selected or ["tests"])],
            accepted=(0, 1),
            cwd=self._tests,
            PYTHONPATH=str(_HERE),
            CONFORMANCE_LEVEL=str(level),
            CONFORMANCE_RESULTS=str(results),
            CONFORMANCE_TALLY=str(tally),
        )
        if not results.exists():
            sys.exit(f"{said}\nthe suite of {suite.client} did not come to its end")
        counts = tally.read_text().split() if tally.exists() else []
        return Run(json.loads(results.read_text()), sum(map(int, counts)))


def _pins(client: str) -> Path:
    return _HERE / f"{client}.txt"


def _download(client: str, directory: Path) -> Path:
    """Return the source distribution of the release of a client that is pinned."""
    pin = re.search(rf"^{client}\[.*\]==(\S+)", _pins(client).read_text(), re.MULTILINE)
    assert pin is not None
    archive = directory / f"{client}-{pin[1]}.tar.gz"
    if not archive.exists():
        requirement = f"{client}=={pin[1]}"
        command = [sys.executable, "-m", "pip", "download", "--no-deps", requirement]
        _run([*command, "--no-binary", ":all:", "--dest", str(directory)])
    return archive


def _run(
    command: list[str],
    *,
    accepted: tuple[int, ...] = (0,),
    cwd: Path | None = None,
    **variables: str,
) -> str:
    """Run a command and return what it said; exit with that if it fails."""
    # What is set for ourselves or for the user's own programs is not for the suites.
    foreign = re.compile(r"LBTRANSPORT_|PYTEST_|PYTHON|COVERAGE_|.*_PROXY$", re.I)
    inherited = {
        name: value for name, value in os.environ.items() if not foreign.match(name)
    }
    try:
        done = subprocess.run(
            command,
            check=False,
            cwd=cwd,
            env={**inherited, **variables},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_LONGEST_RUN,
        )
    except subprocess.TimeoutExpired:
        sys.exit(f"{' '.join(command)}\nhangs")
    if done.returncode not in accepted:
        sys.exit(f"{done.stdout}\n{' '.join(command)}\nfailed: {done.returncode}")
    return done.stdout


def _require_port(port: int, client: str) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            sys.exit(f"the tests of {client} listen on port {port}: {error}; free it")


def _conform(suite: Suite, directory: Path) -> bool:
    """Run one suite bare and at all levels; tell whether all is as expected."""
    bench = Bench(suite, directory)
    bare = bench.run(None)
    _show(suite.client, "bare", bare)
    verdicts = [_holds(suite.client, level, bench, bare) for level in _LEVELS]
    return all(verdicts)


def _holds(client: str, level: str, bench: Bench, bare: Run) -> bool:
    """Run a suite at one level; tell whether it loses what it should and no more."""
    run = bench.run(level)
    expected = _EXPECTED.get((client, level), {})
    passed_bare = [test for test in bare.outcomes if bare.passed(test)]
    lost = [test for test in passed_bare if not run.passed(test)]
    again = [test for test in lost if test not in expected][:_MOST_RERUNS]
    flaky = {test for test in again if bench.run(level, [test]).passed(test)}
    lost = [test for test in lost if test not in flaky]
    _show(client, level, run, lost=len(lost), flaky=len(flaky))
    for test in sorted(flaky):
        print(f"    passed when it was run alone: {test}")
    for test in lost:
        print(f"    lost: {test}: {expected.get(test, 'WHY?')}")
    in_vain = [test for test in expected if test in passed_bare and test not in lost]
    for test in in_vain:
        print(f"    expected to be lost, and is NOT: {test}")
    is_balanced = run.balanced > 0 or level == "unconfigured"
    if not is_balanced:
        print("    NO request was balanced: this shows nothing")
    return is_balanced and not in_vain and set(lost) <= set(expected)


def _show(
    client: str, level: str, run: Run, *, lost: int | str = "", flaky: int | str = ""
) -> None:
    counts = [run.count(outcome) for outcome in ("passed", "failed", "skipped")]
    print(_LINE.format(client, level, *counts, lost, flaky, run.balanced), flush=True)


def main() -> int:
    """Run what the command line asks for; return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    known = {suite.client: suite for suite in _SUITES}
    parser.add_argument("clients", nargs="*", metavar="client", help="all by default")
    parser.add_argument("--keep", type=Path, help="where to keep what is downloaded")
    arguments = parser.parse_args()
    chosen = arguments.clients or list(known)
    if not set(chosen) <= set(known):
        parser.error(f"choose from: {', '.join(known)}")
    with tempfile.TemporaryDirectory() as scratch:
        directory = (arguments.keep or Path(scratch)).resolve()
        directory.mkdir(parents=True, exist_ok=True)
        header = ("client", "level", "passed", "failed", "skipped", "lost")
        print(_LINE.format(*header, "flaky", "balanced"))
        verdicts = [_conform(known[client], directory) for client in chosen]
    return 0 if all(verdicts) else 1


if __name__ == "__main__":
    sys.exit(main())
