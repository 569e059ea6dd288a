from __future__ import annotations

import random

import pytest

from lbtransport import Backend, LoadBalancer
from lbtransport._demo.fleet import Server, ServerPlan
from lbtransport._demo.frame import ClientRow, Observer
from lbtransport._demo.journal import Journal
from lbtransport._demo.tally import Tally
from lbtransport._demo.timeline import Stage, Timeline
from lbtransport.testing import ManualClock


class Scene:
    """Two servers that were never started, and whoever looks at them."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.servers = [
            Server(ServerPlan("a", delay=0.01)),
            Server(ServerPlan("d", delay=0.06, note="slow")),
        ]
        for port, server in enumerate(self.servers, start=1001):
            server.port = port
        self.orders = LoadBalancer(
            "orders",
            [server.backend for server in self.servers],
            clock=self.clock,
            rng=random.Random(7),
        )
        self.tally = Tally()
        names = {server.backend: server.plan.name for server in self.servers}
        self.journal = Journal(names, self.clock.monotonic)
        self.timeline = Timeline(10)
        self.observer = Observer(
            self.orders, self.servers, "a", self.tally, self.journal
        )

    def answer(self, server: str, times: int) -> None:
        for _ in range(times):
            with self.tally.call("httpx") as call:
                call.server = server

    def eject(self, backend: Backend) -> None:
        others = [known for known in self.orders.backends if known != backend]
        for _ in range(5):
            self.orders.select(exclude=others).release(error=ConnectionRefusedError())


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_shares_and_rate_are_those_of_the_last_seconds(scene: Scene) -> None:
    scene.observer.look(scene.timeline)
    scene.answer("a", 100)
    for _ in range(4):
        scene.clock.advance(1)
        scene.observer.look(scene.timeline)
    scene.answer("a", 3)
    scene.answer("d", 1)
    scene.clock.advance(1)

    frame = scene.observer.look(scene.timeline)

    assert [row.share for row in frame.servers] == [0.75, 0.25]
    assert [row.answers for row in frame.servers] == [103, 1]
    assert frame.rate == 2.0


def test_first_frame_shows_nothing_yet(scene: Scene) -> None:
    frame = scene.observer.look(scene.timeline)

    assert frame.elapsed == 0
    assert frame.rate == 0
    assert [row.share for row in frame.servers] == [0, 0]
    assert [row.latency for row in frame.servers] == [None, None]
    assert frame.clients[0] == ClientRow("requests", "3 threads", 0, 0)
    assert "server d is slow" in frame.headline


def test_row_shows_what_the_balancer_knows(scene: Scene) -> None:
    d = scene.servers[1].backend
    selection = scene.orders.select(exclude=[scene.servers[0].backend])
    scene.clock.advance(0.06)
    selection.responded()

    _, row = scene.observer.look(scene.timeline).servers

    assert selection.backend == d
    assert (row.name, row.note, row.state) == ("d", "slow", "in rotation")
    assert row.is_in_rotation
    assert row.in_flight == 1
    assert row.latency == pytest.approx(0.06)


def test_ejected_server_counts_down_to_its_trial(scene: Scene) -> None:
    scene.eject(scene.servers[0].backend)

    row, _ = scene.observer.look(scene.timeline).servers
    scene.clock.advance(5)
    later, _ = scene.observer.look(scene.timeline).servers

    assert not row.is_in_rotation
    assert row.state.startswith("ejected, trial in ")
    assert later.state == "on trial"


def test_each_stage_has_a_headline_that_fits_a_narrow_terminal(scene: Scene) -> None:
    headlines = {scene.observer.headline(stage) for stage in Stage}

    assert len(headlines) == len(Stage)
    assert max(map(len, headlines)) <= 80


def test_lines_of_the_journal_are_in_one_frame(scene: Scene) -> None:
    scene.journal.tell("killing server a")

    assert len(scene.observer.look(scene.timeline).lines) == 1
    assert not scene.observer.look(scene.timeline).lines
