"""The results as a picture of four panels, drawn by matplotlib.

Imported only when it is asked for, since matplotlib is an extra.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lbtransport.testing import Result, Window

_MILLISECONDS = 1000.0
_YARDSTICKS = {"sed_oracle": "--", "central_queue": ":"}
_SHADE = "0.9"  # a grey for the time of a fault


def draw(results: Sequence[Result], path: str) -> None:
    """Draw results of one scenario into a file, whose ending says in which format."""
    # Ids that are drawn by chance would make two pictures of the same differ.
    with mpl.rc_context({"svg.hashsalt": "lbtransport"}):
        figure = Figure(figsize=(12, 8), layout="constrained")
        distribution, percentiles, errors, shares = figure.subplots(2, 2).flat
        _draw_distribution(distribution, results)
        _draw_course(percentiles, results, _p99)
        percentiles.set(title="p99 over time", ylabel="ms")
        _draw_course(errors, results, _errors)
        errors.set(title="Errors over time", ylabel="% of the requests")
        watched = _watched(results[0])
        _draw_course(shares, results, lambda window: _share(window, watched))
        shares.set(title=f"Share of server {watched} over time", ylabel="%")
        handles, labels = distribution.get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=4)
        figure.savefig(path, metadata={"Date": None} if path.endswith("svg") else None)


def _style(result: Result) -> dict[str, str]:
    style = _YARDSTICKS.get(result.strategy)
    return {} if style is None else {"linestyle": style, "color": "0.4"}


def _draw_distribution(axes: Axes, results: Sequence[Result]) -> None:
    for result in results:
        latencies = result.latencies
        # The slower half alone, and no more points than a line needs.
        parts = [0.5 * 10 ** (-step / 20) for step in range(80)]
        shown = [part for part in parts if part * len(latencies) >= 1]
        axes.plot(
            [result.percentile(1 - part) * _MILLISECONDS for part in shown],
            [part * 100 for part in shown],
            label=result.strategy,
            **_style(result),  # type: ignore[arg-type]  # all of them are texts
        )
    axes.set(
        title="How many successes take longer",
        xlabel="ms",
        ylabel="% of the successes",
        xscale="log",
        yscale="log",
    )
    axes.grid(alpha=0.3)


def _draw_course(
    axes: Axes, results: Sequence[Result], value: Callable[[Window], float]
) -> None:
    scenario = results[0].scenario
    for fault in scenario.faults:
        begins_at = max(fault.begins_at, scenario.warmup)
        ends_at = min(fault.ends_at, scenario.seconds)
        if begins_at < ends_at:
            axes.axvspan(begins_at, ends_at, color=_SHADE, zorder=0)
    for result in results:
        axes.plot(
            [window.begins_at for window in result.windows],
            [value(window) for window in result.windows],
            **_style(result),  # type: ignore[arg-type]  # all of them are texts
        )
    axes.set(xlabel="s")
    axes.grid(alpha=0.3)


def _p99(window: Window) -> float:
    return window.percentile(0.99) * _MILLISECONDS


def _errors(window: Window) -> float:
    requests = window.errors + len(window.latencies)
    return 100 * window.errors / requests if requests else math.nan


def _share(window: Window, server: int) -> float:
    sent = sum(window.sent)
    return 100 * window.sent[server] / sent if sent else math.nan


def _watched(result: Result) -> int:
    """Return the server that most is to be seen of: the first that has a fault."""
    faults = result.scenario.faults
    return faults[0].server if faults else 0
