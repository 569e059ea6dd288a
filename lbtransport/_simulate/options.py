"""The options of the command; what was written is read by `settings`, not here.

So a value means the same, and is refused in the same words, in an option and in a file.
"""

from __future__ import annotations

import argparse

DESCRIPTION = """\
Compare strategies on a simulated fleet like yours: the balancers and strategies are
those that run in production, simulated are the servers, the network and the time.
"""

EPILOG = """\
faults:
  slow:0:20x:10s-50s    takes 20 times as long, from 10 s until 50 s
  warm:9:5x:10s-20s     5 times as long at 10 s, less and less so until 20 s
  fail:0:30%:10s-50s    answers 503 at once to 30 % of the requests
  kill:0-2:10s-13s      refuses connections, servers 0 to 2
  hang:0,3:10s-20s      takes requests and answers none, servers 0 and 3
  absent:9:0s-10s       is on no list; it joins at 10 s
Without an end (10s-) it lasts.

A file holds the same as an option or a list: servers = ["8", "2:slowness=3"],
faults = ["slow:0:20x:10s-50s"], strategies = ["random"], timeout = "500ms".
"""

_SERVICES = (
    "mean service time, exponential as in 50ms (the default); or deterministic:50ms, "
    "lognormal:50ms:variation=1, hyperexponential:50ms:variation=2, pareto:50ms:shape=2"
)
_STRATEGIES = (
    "what to compare, also sed_oracle and central_queue, which see the truth (default: "
    "all that need no key); again, for more"
)
_SERVERS = "so many equal servers (default: 10); again, for others"
_LISTS = (
    ("--servers", "servers", "N[:slots=4][:slowness=1][:weight=1]", _SERVERS),
    ("--fault", "faults", "FAULT", "what goes wrong, see below; again, for more"),
    ("--strategy", "strategies", "NAME", _STRATEGIES),
)
_VALUES = (
    ("--service", "TIME", _SERVICES),
    ("--rate", "R", "requests per second of all clients together"),
    ("--utilisation", "U", "the same, as a part of the capacity (default: 0.7)"),
    ("--clients", "N", "independent programs that call (default: 1)"),
    ("--arrivals", "KIND", "poisson (the default) or constant"),
    ("--timeout", "T", "timeout of an attempt, or none (default: 2s)"),
    ("--attempts", "N", "sends of one request at most (default: 1)"),
    ("--seconds", "T", "simulated time (default: 70s)"),
    ("--warmup", "T", "the part of it that is not measured (default: 10s)"),
    ("--keys", "N", "number of different keys of the requests (default: no keys)"),
    ("--seed", "N", "what chance begins with (default: 1)"),
)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Give a parser the options of the command."""
    parser.add_argument(
        "file", nargs="?", metavar="FILE", help="settings in TOML; options win over it"
    )
    for flag, name, metavar, text in _LISTS:
        parser.add_argument(
            flag, dest=name, action="append", metavar=metavar, help=text
        )
    for flag, metavar, text in _VALUES:
        parser.add_argument(flag, metavar=metavar, help=text)
    parser.add_argument(
        "--no-ejection",
        dest="eject",
        action="store_const",
        const=False,
        help="leave failing servers in rotation",
    )
    parser.add_argument(
        "--plot", metavar="FILE", help="draw a picture as well: .svg, .png or .pdf"
    )
    parser.add_argument(
        "--plain", action="store_true", help="lines of text, also on a terminal"
    )
