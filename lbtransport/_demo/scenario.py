"""The demo itself: runs servers and clients, kills one server, and sums up."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from rich.console import Console

from lbtransport import LoadBalancer
from lbtransport._demo.fleet import Fleet, FleetError, Server, ServerPlan
from lbtransport._demo.frame import Observer
from lbtransport._demo.journal import Journal
from lbtransport._demo.plain import Plain
from lbtransport._demo.screen import Screen
from lbtransport._demo.summary import Summary
from lbtransport._demo.tally import Phase, Tally
from lbtransport._demo.timeline import Stage, Timeline
from lbtransport._demo.traffic import CLIENTS, SERVICE, Traffic
from lbtransport.events import BackendReturned, Event

PLANS = (
    ServerPlan("a", delay=0.003),
    ServerPlan("b", delay=0.004),
    ServerPlan("c", delay=0.005),
    ServerPlan("d", delay=0.060, note="slow"),
)
VICTIM = "b"

_TICK = 0.125  # seconds between two frames
_PLAIN_WIDTH = 110  # columns


def run_demo(*, seconds: float, plain: bool) -> int:
    """Run the demo and show it.

    Args:
        seconds: How long it takes at least; a busy machine may need more.
        plain: Whether to write lines of text even to a terminal.

    Returns:
        The exit code: 0 if no caller saw an error and the server came back.
    """
    reporter = choose_reporter(plain=plain)
    try:
        with reporter:
            summary = play(seconds, reporter)
    except FleetError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    reporter.finish(summary)
    return 1 if summary.problems else 0


def choose_reporter(*, plain: bool) -> Plain | Screen:
    """Return what fits where the output goes."""
    console = Console()
    is_able = sys.stdout.isatty() and not console.is_dumb_terminal
    if plain or not is_able or console.options.ascii_only:
        return Plain(Console(width=_PLAIN_WIDTH, color_system=None, no_color=True))
    return Screen(console)


def play(seconds: float, reporter: Plain | Screen) -> Summary:
    """Run servers and clients, kill a server in the middle, and sum up.

    Raises:
        FleetError: If a server did not start.
    """
    with Fleet(PLANS) as fleet:
        names = fleet.names
        tally, journal = Tally(), Journal(names)
        timeline = Timeline(seconds)
        # Not the default strategy: that one avoids the dying server before it must be
        # ejected, and ejection and return are what there is to be seen.
        with LoadBalancer(SERVICE, names, strategy="power_of_two") as orders:
            servers = tuple(fleet.servers.values())
            observer = Observer(orders, servers, VICTIM, tally, journal)
            orders.subscribe(journal.note)
            orders.subscribe(_phase_setter(fleet[VICTIM], tally))
            with Traffic(orders, tally):
                while timeline.stage is not Stage.OVER:
                    reporter.show(observer.look(timeline))
                    time.sleep(_TICK)
                    _go_on(timeline, journal, orders, fleet[VICTIM], tally)
            reporter.show(observer.look(timeline))
    return Summary.of(
        journal,
        tally.count(),
        clients=tuple(CLIENTS),
        servers=tuple(fleet.servers),
        victim=VICTIM,
    )


def _go_on(
    timeline: Timeline,
    journal: Journal,
    orders: LoadBalancer,
    victim: Server,
    tally: Tally,
) -> None:
    """Do what it is time for."""
    states = {entry.backend: entry.state for entry in orders.stats().backends}
    is_new = timeline.advance(
        journal.elapsed,
        is_in_rotation=states[victim.backend] == "closed",
        is_listening=victim.is_up,
    )
    if is_new and timeline.stage is Stage.DYING:
        journal.tell(f"killing server {VICTIM}: SIGKILL to process {victim.pid}")
        victim.kill()
        tally.phase = Phase.DURING
    elif is_new and timeline.stage is Stage.STARTING:
        victim.start()
        journal.tell(f"starting server {VICTIM} again: process {victim.pid}")


def _phase_setter(victim: Server, tally: Tally) -> Callable[[Event], None]:
    """Return a subscriber that notes when the victim's return lets a phase begin."""

    def note(event: Event) -> None:
        # Here, and not when a frame is made: what was sent in between would count as
        # sent to the dead.
        if isinstance(event, BackendReturned) and event.backend == victim.backend:
            tally.phase = Phase.AFTER

    return note
