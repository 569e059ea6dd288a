"""All of the demo, in the end: what happened, and whether it went well."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich import box
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

from lbtransport._demo.journal import Journal
from lbtransport._demo.tally import Count, Phase

_SHOWN_ERRORS = 3


@dataclass(frozen=True, slots=True)
class Summary:
    """What happened.

    Attributes:
        seconds: How long it took.
        clients: Their names.
        servers: Their names.
        victim: The server that died.
        count: What the callers got.
        retries: Attempts that were repeated.
        ejections: Times that the victim was taken out, failed trials included.
        returns: Times that it came back.
    """

    seconds: float
    clients: Sequence[str]
    servers: Sequence[str]
    victim: str
    count: Count
    retries: int
    ejections: int
    returns: int

    @classmethod
    def of(
        cls,
        journal: Journal,
        count: Count,
        *,
        clients: Sequence[str],
        servers: Sequence[str],
        victim: str,
    ) -> Summary:
        """Return the summary of a journal that was read to its end."""
        return cls(
            journal.elapsed,
            clients,
            servers,
            victim,
            count,
            journal.retries,
            journal.ejections[victim],
            journal.returns[victim],
        )

    @property
    def requests(self) -> int:
        """Requests of all clients."""
        return self.count.answers.total() + self.count.errors.total()

    @property
    def problems(self) -> list[str]:
        """What did not go well, in sentences; empty if all did."""
        return list(self._problems())

    def share(self, phase: Phase, server: str) -> float:
        """Return the part of a phase's answers that came from a server, 0 to 1."""
        phases = self.count.phases
        everything = sum(phases[phase, name] for name in self.servers)
        return phases[phase, server] / max(1, everything)

    def _problems(self) -> Iterator[str]:
        for message, times in self.count.messages.most_common(_SHOWN_ERRORS):
            yield f"A caller saw an error, {times} times: {message}"
        for client in self.clients:
            if not self.count.answers[client]:
                yield f"{client} got no answer at all."
        if not self.returns:
            yield f"{self.victim} did not come back into rotation."
        elif not self.count.phases[Phase.AFTER, self.victim]:
            yield f"{self.victim} came back, but answered nothing afterwards."

    def __rich_console__(
        self, console: Console, options: ConsoleOptions
    ) -> RenderResult:
        """Show it as tables and a verdict."""
        yield Text(
            f"{self.requests:,} requests to one logical hostname in "
            f"{self.seconds:.1f} s, through one LoadBalancer",
            style="bold",
        )
        yield Text()
        yield self._clients()
        yield Text()
        yield self._servers()
        yield Text()
        yield Text(f"Failed attempts, repeated on another server: {self.retries}")
        yield Text(
            f"Ejections of {self.victim}, failed trials included: {self.ejections}; "
            f"returns: {self.returns}"
        )
        for problem in self.problems:
            yield Text(problem, style="red")
        yield Text(
            f"Errors that callers saw: {self.count.errors.total()}",
            style="bold red" if self.problems else "bold green",
        )

    def _clients(self) -> Table:
        table = _table()
        table.add_column("client")
        table.add_column("requests", justify="right")
        table.add_column("errors", justify="right")
        for name in self.clients:
            answers, errors = self.count.answers[name], self.count.errors[name]
            table.add_row(name, f"{answers + errors:,}", f"{errors}")
        return table

    def _servers(self) -> Table:
        table = _table()
        table.add_column("server")
        table.add_column(f"share before {self.victim} died", justify="right")
        table.add_column(f"until {self.victim} was back", justify="right")
        table.add_column("afterwards", justify="right")
        for name in self.servers:
            shares = (f"{self.share(phase, name):.0%}" for phase in Phase)
            table.add_row(name, *shares)
        return table


def _table() -> Table:
    return Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
