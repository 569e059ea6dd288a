"""The figures of each strategy as a table: with rich on a terminal, else as text."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from importlib.util import find_spec

from lbtransport.testing import Result

_MOST_SHARES = 12  # of more servers only the least and the greatest is shown


def header(result: Result) -> str:
    """Say in two lines what was simulated."""
    scenario = result.scenario
    clients = "1 client" if scenario.clients == 1 else f"{scenario.clients} clients"
    return (
        f"{len(scenario.servers)} servers, {clients}, "
        f"{scenario.arrival_rate:.0f} requests/s, seed {result.seed}\n"
        f"{result.requests:,} requests, measured from {scenario.warmup:g} s to "
        f"{scenario.seconds:g} s of simulated time"
    )


def columns(results: Sequence[Result], oracle: Result | None) -> list[list[str]]:
    """Return the columns, each with its title first.

    Args:
        results: A row each.
        oracle: What scores relate to; None leaves them away.
    """
    table = [["strategy", *[result.strategy for result in results]]]
    for title, values in (
        ("p50", [result.p50 for result in results]),
        ("p99", [result.p99 for result in results]),
        ("p99.9 ms", [result.p999 for result in results]),
    ):
        table.append([title, *[_milliseconds(value) for value in values]])
    table.append(["errors", *[f"{result.error_ratio:.2%}" for result in results]])
    if any(result.attempts > result.requests for result in results):
        table.append(
            ["attempts", *[f"{r.attempts / max(1, r.requests):.3f}" for r in results]]
        )
    if oracle is not None:
        table.append(["score", *[f"{result.score(oracle):.2f}" for result in results]])
    table.append(["shares of the servers, %", *[shares(result) for result in results]])
    return table


def _milliseconds(seconds: float) -> str:
    return "-" if math.isnan(seconds) else f"{seconds * 1000:.0f}"


def shares(result: Result) -> str:
    """Return the share of each server in percent, or their range if they are many."""
    percents = [100 * share for share in result.shares]
    if len(percents) > _MOST_SHARES:
        return f"{min(percents):.1f} to {max(percents):.1f}"
    return " ".join(f"{percent:4.1f}" for percent in percents)


def show(results: Sequence[Result], oracle: Result | None, *, plain: bool) -> None:
    """Write the table to where the output goes."""
    title, table = header(results[0]), columns(results, oracle)
    if plain or not sys.stdout.isatty() or find_spec("rich") is None:
        sys.stdout.write(f"{title}\n\n{as_text(table)}")
    else:
        _show_with_rich(title, table)


def as_text(table: Sequence[Sequence[str]]) -> str:
    """Return lines whose columns are aligned, the first and the last to the left."""
    widths = [max(map(len, column)) for column in table]
    lines = []
    for row in zip(*table, strict=True):
        name, *figures, last = (
            cell.ljust(width) if number in (0, len(widths) - 1) else cell.rjust(width)
            for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        lines.append("  ".join([name, *figures, last]).rstrip())
    return "\n".join([*lines, ""])


def _show_with_rich(title: str, table: Sequence[Sequence[str]]) -> None:
    from rich import box  # noqa: PLC0415 - it may be missing
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    console = Console()
    console.print(title, highlight=False)
    shown = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for number, (name, *_) in enumerate(table):
        is_text = number in (0, len(table) - 1)
        shown.add_column(name, justify="left" if is_text else "right", no_wrap=is_text)
    for row in zip(*(cells for _, *cells in table), strict=True):
        shown.add_row(*row)
    console.print(shown)
