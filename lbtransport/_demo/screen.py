"""The demo on a terminal: one picture that is redrawn, calm enough to be read."""

from __future__ import annotations

from collections import deque
from types import TracebackType
from typing import Self

from rich import box
from rich.bar import Bar
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from lbtransport._demo.frame import Frame, ServerRow
from lbtransport._demo.journal import Kind, Line
from lbtransport._demo.summary import Summary
from lbtransport._demo.traffic import URL

_WIDTH = 92  # columns at most: wider, the eye loses the row
_ROWS = 20  # of the picture, without the journal
_LINES = range(4, 11)  # of the journal: as many as the terminal has room for
_BARS = range(8, 25)  # columns: what the others leave
_OTHERS = 71
_FULL = 0.5  # the share that fills a bar

_STYLES = {
    Kind.TOLD: "bold",
    Kind.RETRIED: "yellow",
    Kind.EJECTED: "red",
    Kind.RETURNED: "green",
}


class Screen:
    """Shows frames on a terminal, each in place of the one before."""

    def __init__(self, console: Console) -> None:
        """Draw on `console`."""
        self._console = console
        self._live = Live(console=console, auto_refresh=False, vertical_overflow="crop")
        room = max(_LINES.start, min(console.height - _ROWS, _LINES.stop - 1))
        self._room = room
        self._lines: deque[Line] = deque(maxlen=room)

    def __enter__(self) -> Self:
        """Take the terminal."""
        self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Give the terminal back; the last picture stays."""
        self._live.stop()

    def show(self, frame: Frame) -> None:
        """Draw a frame."""
        self._lines.extend(frame.lines)
        self._live.update(self.picture(frame), refresh=True)

    def finish(self, summary: Summary) -> None:
        """Show the end, below the last picture."""
        self._console.print()
        self._console.print(summary)

    def picture(self, frame: Frame) -> RenderableType:
        """Return a frame as something that rich can draw."""
        width = min(self._console.width, _WIDTH)
        return Group(
            _title(frame, width),
            ProgressBar(
                total=frame.seconds,
                completed=min(frame.elapsed, frame.seconds),
                width=width,
                complete_style="cyan",
                finished_style="cyan",
            ),
            Text("\n"),  # a bar does not end its line
            Text(frame.headline, style="bold", no_wrap=True, overflow="ellipsis"),
            Text(),
            _servers(frame, width),
            Text(),
            _clients(frame),
            Text(),
            _totals(frame),
            Text(),
            *self._journal(width),
        )

    def _journal(self, width: int) -> list[Text]:
        texts = []
        for line in self._lines:
            at = (f"{line.at:5.1f} s  ", "dim")
            text = Text.assemble(at, (line.text, _STYLES[line.kind]), no_wrap=True)
            text.truncate(width, overflow="ellipsis")
            texts.append(text)
        # The picture has the same height from the beginning, so that nothing jumps.
        return texts + [Text()] * (self._room - len(texts))


def _title(frame: Frame, width: int) -> Table:
    title = Table.grid(expand=False)
    title.width = width
    title.add_column(ratio=1)
    title.add_column(justify="right")
    title.add_row(
        Text.assemble(("lbtransport demo", "bold cyan"), ("   ", ""), (URL, "cyan")),
        Text(
            f"{frame.rate:.0f} requests/s   "
            f"{min(frame.elapsed, frame.seconds):.0f} of {frame.seconds:.0f} s",
            style="dim",
        ),
    )
    return title


def _table(edge: box.Box | None) -> Table:
    return Table(
        box=edge,
        show_edge=False,
        padding=(0, 1, 0, 0),
        pad_edge=False,
        header_style="dim",
    )


def _servers(frame: Frame, width: int) -> Table:
    table = _table(box.SIMPLE_HEAD)
    bar = max(_BARS.start, min(width - _OTHERS, _BARS.stop - 1))
    table.add_column("server", min_width=8, no_wrap=True)
    table.add_column("state", min_width=23, no_wrap=True)
    table.add_column("share now", min_width=bar, no_wrap=True)
    table.add_column("", min_width=4, justify="right")
    table.add_column("latency", min_width=8, justify="right")
    table.add_column("in flight", justify="right", no_wrap=True)
    table.add_column("answers", justify="right")
    for row in frame.servers:
        table.add_row(
            Text.assemble((row.name, "bold"), (f"  {row.note}", "dim")),
            Text(row.state, style="green" if row.is_in_rotation else "red"),
            _bar(row, bar),
            f"{row.share:.0%}",
            "" if row.latency is None else f"{row.latency * 1000:.1f} ms",
            f"{row.in_flight}",
            f"{row.answers}",
        )
    return table


def _bar(row: ServerRow, width: int) -> Bar:
    color = "cyan" if row.is_in_rotation else "red"
    return Bar(_FULL, 0, min(row.share, _FULL), width=width, color=color)


def _clients(frame: Frame) -> Table:
    table = _table(None)
    table.add_column("client", min_width=12)
    table.add_column("", min_width=12)
    table.add_column("answers", min_width=9, justify="right")
    table.add_column("errors", justify="right")
    for row in frame.clients:
        table.add_row(
            row.name,
            Text(row.note, style="dim"),
            f"{row.answers}",
            Text(f"{row.errors}", style="bold red" if row.errors else "green"),
        )
    return table


def _totals(frame: Frame) -> Text:
    errors = sum(row.errors for row in frame.clients)
    return Text.assemble(
        f"Failed attempts repeated on another server: {frame.retries}.  ",
        "Errors that callers saw: ",
        (f"{errors}", "bold red" if errors else "bold green"),
        no_wrap=True,
        overflow="ellipsis",
    )
