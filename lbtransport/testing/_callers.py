"""The callers of a simulation: what drives their exchanges, with time for threads.

Each request is a real exchange with a real balancer, the same generator that the
adapters run.
What a driver does with sockets and threads is done here with simulated servers and a
timeline, so what is selected, retried and ejected is decided by the code that is
shipped.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Mapping
from random import Random
from typing import Any

from lbtransport._balancer import Balancer
from lbtransport._effects import Effect, Send, Sleep
from lbtransport._errors import NoBackendsAvailable
from lbtransport._exchange import Exchange, exchange
from lbtransport._types import Fault as Cause
from lbtransport._types import Outcome, Verdict
from lbtransport._types.outcome import FAULTS
from lbtransport.load_balancer import LoadBalancer
from lbtransport.testing._record import Record
from lbtransport.testing._servers import Attempt, Receiver
from lbtransport.testing._timeline import Timeline

_TIMED_OUT = FAULTS[Cause.RESPONSE_TIMEOUT]


class Caller:
    """Whoever makes one request, and the job of its exchange."""

    __slots__ = ("arrived_at", "key", "steps", "work")

    method = "GET"
    deadline = None
    is_declared_idempotent = None

    def __init__(self, arrived_at: float, work: float, key: Hashable) -> None:
        """Have not begun."""
        self.arrived_at = arrived_at
        self.work = work
        self.key = key
        self.steps: Exchange

    def can_replay(self) -> bool:
        """Tell that the request can be sent again."""
        return True

    def can_race(self) -> bool:
        """Tell that no request is hedged here."""
        return False

    def outcome_of(self, response: Outcome, balancer: Balancer) -> Outcome:
        """Return what a simulated answer says; it says it itself."""
        return response

    def outcome_of_error(self, error: Exception) -> Outcome:
        """Return what the lack of an answer says."""
        assert isinstance(error, NoAnswer)
        return error.outcome

    def is_answer(self, answer: object) -> bool:
        """Tell whether it says what an answer says here."""
        return isinstance(answer, Outcome)


class NoAnswer(Exception):  # noqa: N818 - it stands for errors of many names
    """What a caller gets instead of an answer."""

    def __init__(self, outcome: Outcome) -> None:
        """Mean `outcome`."""
        super().__init__(outcome.reason)
        self.outcome = outcome


class Callers:
    """All requests that are under way.

    Attributes:
        timeline: The time that they live in.
        record: Where what becomes of them is written down.
        rng: The chance of the servers.
        open: Requests that were not answered yet.
        timeouts: When which attempt is abandoned, in the order of time.
    """

    def __init__(
        self,
        timeline: Timeline,
        record: Record,
        rng: Random,
        *,
        timeout: float | None,
        works_off_abandoned: bool,
    ) -> None:
        """Have no requests yet.

        Args:
            timeline: The time that they live in.
            record: Where what becomes of them is written down.
            rng: The chance of the servers.
            timeout: Seconds after which an attempt is abandoned.
            works_off_abandoned: Whether servers do not notice that.
        """
        self.timeline = timeline
        self.record = record
        self.rng = rng
        self.open: dict[Caller, None] = {}
        self.timeouts: deque[tuple[float, Attempt]] = deque()
        self._receivers: Mapping[str, Receiver] = {}
        self._timeout = timeout
        self._works_off_abandoned = works_off_abandoned

    def connect(self, receivers: Mapping[str, Receiver]) -> None:
        """Reach each of `receivers` under the URL of its backend."""
        self._receivers = receivers

    def begin(self, caller: Caller, balancer: LoadBalancer) -> None:
        """Let a request begin."""
        self.open[caller] = None
        caller.steps = exchange(balancer.core, balancer.plan, caller)
        self._go_on(caller, caller.steps.send, None)

    def answer(self, attempt: Attempt, outcome: Outcome) -> None:
        """Hand an answer to the caller who waits for it."""
        attempt.is_open = False
        caller = attempt.caller
        self._go_on(caller, caller.steps.send, outcome)

    def fail(self, attempt: Attempt, outcome: Outcome) -> None:
        """Tell the caller who waits that there will be no answer."""
        attempt.is_open = False
        caller = attempt.caller
        self._go_on(caller, caller.steps.throw, NoAnswer(outcome))

    def abandon(self, attempt: Attempt) -> None:
        """Let the caller wait no longer, if he still does."""
        if not attempt.is_open:
            return
        attempt.is_open = False  # or a server that drops it may still answer it
        if not self._works_off_abandoned:
            attempt.receiver.drop(attempt)
        self.fail(attempt, _TIMED_OUT)

    def _go_on(
        self, caller: Caller, resume: Callable[[Any], Effect], value: object
    ) -> None:
        """Let an exchange go on until it needs time, or is over."""
        try:
            effect = resume(value)
            while not isinstance(effect, Send):
                if isinstance(effect, Sleep):
                    wakes_at = self.timeline.now + effect.seconds
                    self.timeline.at(wakes_at, self._wake, caller)
                    return
                effect = caller.steps.send(None)  # an answer that nobody sees is closed
        except StopIteration as end:
            outcome, selection = end.value
            selection.release()  # the answer has no body to be read
            del self.open[caller]
            if outcome.health is Verdict.FAILURE:
                self.record.failed(caller.arrived_at, outcome.reason)
            else:
                self.record.succeeded(caller.arrived_at, self.timeline.now)
        except NoAnswer as error:
            del self.open[caller]
            self.record.failed(caller.arrived_at, error.outcome.reason)
        except NoBackendsAvailable:
            del self.open[caller]
            self.record.failed(caller.arrived_at, "no backend available")
        else:
            self._send(caller, effect)

    def _wake(self, caller: Caller) -> None:
        self._go_on(caller, caller.steps.send, None)

    def _send(self, caller: Caller, effect: Send) -> None:
        receiver = self._receivers[effect.backend.url]
        attempt = Attempt(caller, caller.work, receiver)
        if self._timeout is not None:
            self.timeouts.append((self.timeline.now + self._timeout, attempt))
        receiver.accept(attempt)
