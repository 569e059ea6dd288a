"""The command line: ``lbtransport``, also as ``python -m lbtransport``.

Made with argparse: a package whose core depends on tenacity alone brings no framework
for one command.
Here are only names, options and exit codes; what a command does stands in its own
module, imported when it is called, since it may need what an extra brings.

Exit codes: 0, all went well; 1, it did not; 2, it was called wrongly or something is
not installed; 130, interrupted.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

from lbtransport import ConfigurationError
from lbtransport._listing import listing
from lbtransport._simulate.options import DESCRIPTION, EPILOG, add_options

__all__ = ["main"]

_NEEDED_BY_DEMO = ("requests", "httpx", "rich")
_SHORTEST_DEMO = 2.0  # seconds; shorter, it would show nothing

_FAILED = 1
_WRONGLY_CALLED = 2
_INTERRUPTED = 130  # as a shell reports SIGINT


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: The arguments, without the program's name; by default the process's.

    Returns:
        The exit code.

    Raises:
        SystemExit: If the arguments are wrong, or ask for help or the version.
    """
    arguments = _parser().parse_args(argv)
    commands = {"config": _config, "demo": _demo, "simulate": _simulate}
    try:
        return commands[arguments.command](arguments)
    except KeyboardInterrupt:
        print("interrupted: all that was started has ended", file=sys.stderr)
        return _INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="lbtransport",
        description="A load balancer that lives inside the HTTP client.",
    )
    parser.add_argument("--version", action="version", version=_version())
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    commands.add_parser(
        "config",
        help="show the services that the environment configures, or what is wrong",
        description=(
            "Read the variables LBTRANSPORT_... and the file that one of them names, "
            "as a program would, and print each service with its backends and what is "
            "not as by default; a mistake ends it with exit code 1."
        ),
    )
    demo = commands.add_parser(
        "demo",
        help="show it at work: real servers and clients, on loopback alone",
        description=(
            "Start four servers, one of them slow, and call them through requests, "
            "httpx and httpx async at once; kill one in the middle, start it again, "
            "and count the errors that callers saw."
        ),
    )
    demo.add_argument(
        "--seconds",
        type=_seconds,
        default=10.0,
        metavar="N",
        help="how long it takes at least (default: %(default)g)",
    )
    demo.add_argument(
        "--plain", action="store_true", help="lines of text, also on a terminal"
    )
    simulate = commands.add_parser(
        "simulate",
        help="compare strategies on a simulated fleet",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_options(simulate)
    return parser


def _version() -> str:
    try:
        return f"lbtransport {version('lbtransport')}"
    except PackageNotFoundError:  # run from a checkout
        return "lbtransport, not installed"


def _seconds(text: str) -> float:
    seconds = float(text)  # argparse makes a message of a ValueError
    if not _SHORTEST_DEMO <= seconds < float("inf"):
        raise argparse.ArgumentTypeError(
            f"{text!r} is too short or too long; give at least {_SHORTEST_DEMO:g}"
        )
    return seconds


def _config(arguments: argparse.Namespace) -> int:
    try:
        for line in listing(os.environ):
            print(line)
    except ConfigurationError as error:
        print(f"lbtransport config: {error}", file=sys.stderr)
        return _FAILED
    return 0


def _demo(arguments: argparse.Namespace) -> int:
    missing = [name for name in _NEEDED_BY_DEMO if find_spec(name) is None]
    if missing:
        print(
            f"lbtransport demo needs {', '.join(missing)}, not installed here: "
            f"pip install 'lbtransport[demo]'",
            file=sys.stderr,
        )
        return _WRONGLY_CALLED
    from lbtransport._demo.scenario import run_demo  # noqa: PLC0415 - needs the extra

    return run_demo(seconds=arguments.seconds, plain=arguments.plain)


def _simulate(arguments: argparse.Namespace) -> int:
    options = vars(arguments).copy()
    del options["command"]
    path, plot, plain = (options.pop(name) for name in ("file", "plot", "plain"))
    if plot is not None and find_spec("matplotlib") is None:
        print(
            "lbtransport simulate --plot needs matplotlib, not installed here: "
            "pip install 'lbtransport[plot]'",
            file=sys.stderr,
        )
        return _WRONGLY_CALLED
    from lbtransport._simulate.command import run_simulation  # noqa: PLC0415 - as above

    try:
        run_simulation(path, options, plot=plot, plain=plain)
    except ConfigurationError as error:
        print(f"lbtransport simulate: {error}", file=sys.stderr)
        return _WRONGLY_CALLED
    return 0
