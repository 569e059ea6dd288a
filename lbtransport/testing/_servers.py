"""Simulated servers: slots, a queue before them, and what goes wrong.

Not here: who sends what to which of them (`_simulation`).
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from random import Random
from typing import Any, Protocol

from lbtransport._types import Fault as Cause
from lbtransport._types import Outcome
from lbtransport._types.answers import outcome_of_status
from lbtransport._types.outcome import FAULTS, SUCCESS
from lbtransport.testing._record import Record
from lbtransport.testing._timeline import Timeline
from lbtransport.testing.faults import Absent, Fail, Fault, Hang, Kill, Slow
from lbtransport.testing.scenario import Server

_REFUSED = FAULTS[Cause.CONNECT]
_LOST = FAULTS[Cause.DISCONNECT]
_UNAVAILABLE = outcome_of_status(503)


class Receiver(Protocol):
    """What requests are sent to: a server, or what stands before several."""

    def accept(self, attempt: Attempt) -> None:
        """Take a request."""
        ...

    def drop(self, attempt: Attempt) -> None:
        """Stop working on a request, or forget that it waits."""
        ...


class Attempt:
    """One request as a server sees it.

    Attributes:
        caller: Whose it is.
        work: Seconds that it takes a server of slowness 1.
        receiver: Whom it was sent to.
        server: Who got it; None while it waits in a queue for several.
        ends_at: When its service ends, if nothing comes between; infinity if it waits.
        remaining: Seconds of service that were left when the server began to hang.
        is_open: Whether somebody waits for the answer.
    """

    __slots__ = (
        "caller",
        "ends_at",
        "is_open",
        "receiver",
        "remaining",
        "server",
        "work",
    )

    def __init__(self, caller: Any, work: float, receiver: Receiver) -> None:
        """Wait for an answer."""
        self.caller = caller
        self.work = work
        self.receiver = receiver
        self.server: SimulatedServer | None = None
        self.ends_at = math.inf
        self.remaining = 0.0
        self.is_open = True


class Network(Protocol):
    """Carries answers back to the callers, and knows who was sent what."""

    timeline: Timeline
    rng: Random
    record: Record

    def answer(self, attempt: Attempt, outcome: Outcome) -> None:
        """Hand an answer to whoever waits for it."""
        ...

    def fail(self, attempt: Attempt, outcome: Outcome) -> None:
        """Tell whoever waits that there will be no answer."""
        ...


class SimulatedServer:
    """One server, and the truth about it that no client sees.

    Attributes:
        index: Its place in the scenario.
        slots: Requests that it works on at the same time.
        queue: What waits for a slot.
        busy: What has one, in the order of its beginning.
    """

    def __init__(
        self,
        index: int,
        plan: Server,
        network: Network,
        *,
        queue: deque[Attempt] | None = None,
    ) -> None:
        """Be idle.

        Args:
            index: Its place in the scenario.
            plan: What it can do.
            network: Where answers go.
            queue: One that it shares with others; by default its own.
        """
        self.index = index
        self.slots = plan.slots
        self.busy: dict[Attempt, None] = {}
        self.queue: deque[Attempt] = deque() if queue is None else queue
        self._shares_queue = queue is not None
        self._slowness = plan.slowness
        self._network = network
        self._timeline = network.timeline
        self._note_sent = network.record.sent
        self._faults: list[Fault] = []
        self._slow: list[Slow] = []
        self._fail: Fail | None = None
        self._kill: Kill | None = None
        self._hangs = False
        self._is_absent = False
        self._is_well = True  # neither fails, nor is killed, nor hangs

    # -- the truth ----------------------------------------------------------------

    @property
    def is_usable(self) -> bool:
        """Whether what is sent to it now is served."""
        return self._is_well

    @property
    def has_room(self) -> bool:
        """Whether what is sent to it now is served at once."""
        return len(self.busy) < self.slots and self._is_well and not self._is_absent

    def slowness(self) -> float:
        """Return how many times as long a request takes that begins now."""
        now, slowness = self._timeline.now, self._slowness
        for fault in self._slow:
            slowness *= fault.slowness_at(now)
        return slowness

    # -- requests -----------------------------------------------------------------

    def accept(self, attempt: Attempt) -> None:
        """Serve a request, let it wait, or let it fail."""
        attempt.server = self
        self._note_sent(self.index, self._timeline.now)
        if self._is_well and len(self.busy) < self.slots:
            self._begin(attempt)
        elif self._kill is not None:
            self._later(self._kill.after, self._refuse, attempt)
        elif self._fail is not None and self._network.rng.random() < self._fail.share:
            self._later(self._fail.after, self._answer_503, attempt)
        elif not self._hangs and len(self.busy) < self.slots:
            self._begin(attempt)
        else:
            self.queue.append(attempt)

    def drop(self, attempt: Attempt) -> None:
        """Stop working on what was abandoned, or forget that it waits."""
        if attempt in self.busy:
            del self.busy[attempt]
            attempt.ends_at = math.inf
            self.fill()
        elif attempt in self.queue:
            self.queue.remove(attempt)

    def fill(self) -> None:
        """Begin what waits, as far as there are slots."""
        queue = self.queue
        while queue and len(self.busy) < self.slots and self._may_begin():
            attempt = queue.popleft()
            if attempt.server is not self:
                attempt.server = self
                self._note_sent(self.index, self._timeline.now)
            self._begin(attempt)

    def _begin(self, attempt: Attempt) -> None:
        self.busy[attempt] = None
        seconds = attempt.work * (self.slowness() if self._slow else self._slowness)
        attempt.ends_at = self._timeline.now + seconds
        self._timeline.at(attempt.ends_at, self._end, attempt)

    def _end(self, attempt: Attempt) -> None:
        if attempt.ends_at != self._timeline.now:
            return  # it was lost, dropped or delayed since
        del self.busy[attempt]
        if self.queue:
            self.fill()
        if attempt.is_open:
            self._network.answer(attempt, SUCCESS)

    def _later(self, seconds: float, act: Any, attempt: Attempt) -> None:
        self._timeline.at(self._timeline.now + seconds, act, attempt)

    def _refuse(self, attempt: Attempt) -> None:
        if attempt.is_open:
            self._network.fail(attempt, _REFUSED)

    def _answer_503(self, attempt: Attempt) -> None:
        if attempt.is_open:
            self._network.answer(attempt, _UNAVAILABLE)

    # -- faults -------------------------------------------------------------------

    def suffer(self, fault: Fault) -> None:
        """Let a fault begin."""
        self._faults.append(fault)
        self._look_at_faults()
        if isinstance(fault, Kill):
            self._lose_all()

    def recover(self, fault: Fault) -> None:
        """Let a fault end."""
        self._faults.remove(fault)
        self._look_at_faults()
        self.fill()

    def _look_at_faults(self) -> None:
        hung = self._hangs
        self._slow = [fault for fault in self._faults if isinstance(fault, Slow)]
        self._fail = next((f for f in self._faults if isinstance(f, Fail)), None)
        self._kill = next((f for f in self._faults if isinstance(f, Kill)), None)
        self._hangs = any(isinstance(fault, Hang) for fault in self._faults)
        self._is_absent = any(isinstance(fault, Absent) for fault in self._faults)
        self._is_well = not (self._fail or self._kill or self._hangs)
        if self._hangs is not hung:
            (self._pause if self._hangs else self._resume)()

    def _may_begin(self) -> bool:
        if self._shares_queue:  # leave it to those that are well
            return self._is_well and not self._is_absent
        return not self._hangs and self._kill is None

    def _pause(self) -> None:
        for attempt in self.busy:
            attempt.remaining = attempt.ends_at - self._timeline.now
            attempt.ends_at = math.inf

    def _resume(self) -> None:
        for attempt in self.busy:
            attempt.ends_at = self._timeline.now + attempt.remaining
            self._timeline.at(attempt.ends_at, self._end, attempt)

    def _lose_all(self) -> None:
        lost = list(self.busy)
        self.busy.clear()
        if not self._shares_queue:
            lost += self.queue
            self.queue.clear()
        for attempt in lost:
            attempt.ends_at = math.inf
            if attempt.is_open:
                self._network.fail(attempt, _LOST)


class CentralQueue:
    """One queue before all servers: what no client can beat.

    A request goes to the fastest server that is idle, and waits if there is none.
    """

    def __init__(
        self, servers: Sequence[SimulatedServer], queue: deque[Attempt]
    ) -> None:
        """Stand before `servers`, all of which take from `queue`."""
        self._servers = servers
        self._queue = queue

    def accept(self, attempt: Attempt) -> None:
        """Let a request be served, or wait."""
        idle = [server for server in self._servers if server.has_room]
        if idle:
            min(idle, key=SimulatedServer.slowness).accept(attempt)
        else:
            self._queue.append(attempt)

    def drop(self, attempt: Attempt) -> None:
        """Stop working on what was abandoned, or forget that it waits."""
        if attempt.server is not None:
            attempt.server.drop(attempt)
        else:
            self._queue.remove(attempt)
