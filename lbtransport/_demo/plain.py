"""The demo as lines of text, for pipes, logs and terminals that cannot do more."""

from __future__ import annotations

from operator import itemgetter
from types import TracebackType
from typing import Self

from rich.console import Console

from lbtransport._demo.frame import Frame, ServerRow
from lbtransport._demo.summary import Summary

_EVERY = 1.0  # seconds between two lines of figures


class Plain:
    """Shows frames as lines: what happens at once, figures once a second."""

    def __init__(self, console: Console) -> None:
        """Write to `console`."""
        self._console = console
        self._due_at = _EVERY
        self._headline = ""

    def __enter__(self) -> Self:
        """Say how to read the lines."""
        self._say("lbtransport demo: real servers and clients, all on loopback")
        self._say("of each server: share of the last 2 s, latency, requests in flight")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Leave nothing open."""

    def show(self, frame: Frame) -> None:
        """Show what is new."""
        news = [(line.at, f"   {line.text}") for line in frame.lines]
        if frame.headline != self._headline:
            self._headline = frame.headline
            news.insert(0, (frame.since, f">> {frame.headline}"))
        for at, text in sorted(news, key=itemgetter(0)):
            self._say(f"{_clock(at)}  {text}")
        if frame.elapsed >= self._due_at:
            self._due_at = frame.elapsed + _EVERY
            self._say(f"{_clock(frame.elapsed)}  {_figures(frame)}")

    def finish(self, summary: Summary) -> None:
        """Show the end."""
        self._say("")
        self._console.print(summary)

    def _say(self, text: str) -> None:
        self._console.out(text, highlight=False)


def _clock(seconds: float) -> str:
    return f"{seconds:5.1f} s"


def _figures(frame: Frame) -> str:
    servers = " | ".join(_cell(row) for row in frame.servers)
    errors = sum(row.errors for row in frame.clients)
    return f"{servers} | {frame.rate:.0f}/s, {frame.retries} retries, {errors} errors"


def _cell(row: ServerRow) -> str:
    if not row.is_in_rotation:
        return f"{row.name} {row.state}"
    latency = "    -" if row.latency is None else f"{row.latency * 1000:3.0f} ms"
    return f"{row.name} {row.share:4.0%} {latency} {row.in_flight}"
