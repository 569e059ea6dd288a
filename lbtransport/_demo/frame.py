"""One instant of the demo, as a value: what `plain` and `screen` show."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass

from lbtransport import BackendStats, LoadBalancer
from lbtransport._demo.fleet import Server
from lbtransport._demo.journal import Journal, Line
from lbtransport._demo.tally import Tally
from lbtransport._demo.timeline import Stage, Timeline
from lbtransport._demo.traffic import CLIENTS, URL

_WINDOW = 2.0  # seconds over which shares and rates are taken

IN_ROTATION = "in rotation"
_STATES = {"closed": IN_ROTATION, "half_open": "on trial"}

# Each fits into 80 columns, and none claims what only the summary can know.
_HEADLINES = {
    Stage.STEADY: "Three clients call {url}; server {slow} is slow, so it gets less.",
    Stage.DYING: "Killing server {victim}: what fails there is repeated elsewhere.",
    Stage.DEAD: "{victim} is dead and ejected: the others carry its share, single "
    "trials test it.",
    Stage.STARTING: "Starting server {victim} again: when its time is up, one trial "
    "request decides.",
    Stage.WAITING: "{victim} runs again: when its time is up, one trial request "
    "decides.",
    Stage.BACK: "{victim} passed its trial and is back: it gets its share again.",
    Stage.OVER: "That was all: the clients have finished.",
}


@dataclass(frozen=True, slots=True)
class ServerRow:
    """One server.

    Attributes:
        name: Its name.
        note: What is special about it; may be empty.
        state: What the balancer thinks of it, in words.
        is_in_rotation: Whether it gets its share.
        share: Part of the recent answers that came from it, 0 to 1.
        latency: Seconds, recent average; None before the first answer.
        in_flight: Requests that it is at.
        answers: Answers that callers got from it.
    """

    name: str
    note: str
    state: str
    is_in_rotation: bool
    share: float
    latency: float | None
    in_flight: int
    answers: int


@dataclass(frozen=True, slots=True)
class ClientRow:
    """One client, with its answers and the errors that it saw."""

    name: str
    note: str
    answers: int
    errors: int


@dataclass(frozen=True, slots=True)
class Frame:
    """One instant.

    Attributes:
        elapsed: Seconds since the beginning.
        seconds: Seconds that the whole takes, at least.
        headline: What is going on, in a sentence.
        since: Seconds from the beginning to when the headline became true.
        rate: Recent answers per second.
        retries: Attempts that were repeated.
        servers: A row each.
        clients: A row each.
        lines: What is new in the journal.
    """

    elapsed: float
    seconds: float
    headline: str
    since: float
    rate: float
    retries: int
    servers: Sequence[ServerRow]
    clients: Sequence[ClientRow]
    lines: Sequence[Line]


class Observer:
    """Makes frames of what it sees."""

    def __init__(
        self,
        orders: LoadBalancer,
        servers: Sequence[Server],
        victim: str,
        tally: Tally,
        journal: Journal,
    ) -> None:
        """Look at all of these."""
        self._orders = orders
        self._servers = servers
        slow = max(servers, key=lambda server: server.plan.delay).plan.name
        self._words = {"url": URL, "victim": victim, "slow": slow}
        self._tally = tally
        self._journal = journal
        self._past: deque[tuple[float, Counter[str]]] = deque([(0.0, Counter())])

    def headline(self, stage: Stage) -> str:
        """Return what is going on, in a sentence."""
        return _HEADLINES[stage].format(**self._words)

    def look(self, timeline: Timeline) -> Frame:
        """Return a frame of this instant; the journal's lines are in no other."""
        elapsed = self._journal.elapsed
        count = self._tally.count()
        seconds, recent = self._recent(elapsed, count.servers)
        stats = {entry.backend: entry for entry in self._orders.stats().backends}
        # The reading counts the retries.
        lines = self._journal.read()
        return Frame(
            elapsed,
            timeline.seconds,
            self.headline(timeline.stage),
            timeline.since,
            recent.total() / seconds,
            self._journal.retries,
            [
                _row_of(
                    server,
                    stats[server.backend],
                    share=recent[server.plan.name] / max(1, recent.total()),
                    answers=count.servers[server.plan.name],
                )
                for server in self._servers
            ],
            [
                ClientRow(name, note, count.answers[name], count.errors[name])
                for name, note in CLIENTS.items()
            ],
            lines,
        )

    def _recent(
        self, elapsed: float, answers: Counter[str]
    ) -> tuple[float, Counter[str]]:
        """Return the answers of the last seconds, and how many seconds these were."""
        past = self._past
        past.append((elapsed, answers))
        while len(past) > 2 and past[1][0] <= elapsed - _WINDOW:
            past.popleft()
        at, before = past[0]
        return max(elapsed - at, 0.1), answers - before


def _row_of(
    server: Server, stats: BackendStats, *, share: float, answers: int
) -> ServerRow:
    state = _STATES.get(stats.state, stats.state)
    if stats.returns_in:
        state = f"{state}, trial in {stats.returns_in:.1f} s"
    return ServerRow(
        server.plan.name,
        server.plan.note,
        state,
        stats.state == "closed",
        share,
        stats.latency,
        stats.in_flight,
        answers,
    )
