"""What the tests of the core share: services without a network, scripted answers."""

from __future__ import annotations

import dataclasses
import dis
import itertools
import random
import sys
from collections.abc import Callable, Generator, Hashable, Iterable
from dataclasses import dataclass, field
from types import FrameType
from typing import Any, TypeAlias, TypeVar

from lbtransport import Backend, LoadBalancer, Outcome, Selection
from lbtransport._balancer import Balancer
from lbtransport._clock import ManualClock
from lbtransport._drive import perform
from lbtransport._effects import Close, Effect, Send, Sleep
from lbtransport._types import BackendStats, Fault
from lbtransport._types.answers import outcome_of_status
from lbtransport._types.exceptions import outcome_of_exception
from lbtransport._types.outcome import FAULTS

A, B, C, D = URLS = [f"http://10.0.0.{number}" for number in range(1, 5)]

REFUSED = FAULTS[Fault.CONNECT]
TIMEOUT = FAULTS[Fault.RESPONSE_TIMEOUT]
CUT = FAULTS[Fault.DISCONNECT]
STATUS_500 = outcome_of_status(500)

T = TypeVar("T")


def make_service(
    backends: Iterable[str | Backend] = URLS[:3],
    clock: ManualClock | None = None,
    **options: Any,
) -> LoadBalancer:
    """Make a service in which nothing moves by itself.

    By default its strategy is one that failures tell nothing: what these tests see is
    the balancer's doing.
    """
    return LoadBalancer(
        "orders",
        backends,
        clock=clock or ManualClock(),
        rng=random.Random(7),
        **{"strategy": "power_of_two"} | options,
    )


def stats_of(service: LoadBalancer, url: str) -> BackendStats:
    (found,) = [s for s in service.stats().backends if s.backend.url == url]
    return found


def states_of(service: LoadBalancer) -> dict[str, str]:
    return {s.backend.url: s.state for s in service.stats().backends}


def in_flight(service: LoadBalancer) -> int:
    """Return the requests in flight, which are never fewer than those waiting."""
    backends = service.stats().backends
    assert all(0 <= s.waiting <= s.in_flight for s in backends)
    return sum(s.in_flight for s in backends)


def advance(service: LoadBalancer, seconds: float) -> None:
    clock = service.core.clock
    assert isinstance(clock, ManualClock)
    clock.advance(seconds)


def select_only(service: LoadBalancer, url: str) -> Selection:
    """Select this backend and no other."""
    others = [backend for backend in service.backends if backend.url != url]
    return service.select(exclude=others)


def answer(service: LoadBalancer, url: str, *outcomes: Outcome) -> None:
    """Have one backend answer so, one request of a millisecond after the other."""
    for outcome in outcomes:
        selection = select_only(service, url)
        advance(service, 0.001)
        selection.release(outcome=outcome)
        advance(service, 0.001)


def fail_at_once(service: LoadBalancer, url: str, times: int, outcome: Outcome) -> None:
    """Have requests that were in flight together fail together."""
    selections = [select_only(service, url) for _ in range(times)]
    advance(service, 0.001)
    for selection in selections:
        selection.release(outcome=outcome)


def eject(service: LoadBalancer, url: str, outcome: Outcome = REFUSED) -> None:
    answer(service, url, *[outcome] * 5)
    assert states_of(service)[url] == "ejected"


class interrupted_at:  # noqa: N801 - a context manager, as contextlib names its own
    """Raise KeyboardInterrupt at the `step`-th instant at which a signal may come in.

    The interpreter looks for signals when a function begins, after a call, and when a
    loop goes round; between other instructions it does not.
    """

    def __init__(self, step: int) -> None:
        self._step = step
        self._steps = itertools.count()
        self._done: dict[FrameType, str] = {}  # the last instruction of each

    def __enter__(self) -> None:
        self._traced_before = sys.gettrace()
        # Python 3.12 traces no instructions before some frame has asked for it.
        sys._getframe().f_trace_opcodes = True
        sys.settrace(self._trace)

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> bool:
        sys.settrace(self._traced_before)
        self._done.clear()
        return kind is KeyboardInterrupt

    def _trace(self, frame: FrameType, event: str, argument: object) -> Any:
        code = frame.f_code
        # An interrupt in a finaliser is swallowed by the interpreter.
        if "/lbtransport/" not in code.co_filename or code.co_name == "__del__":
            return None
        frame.f_trace_opcodes = True
        if event == "opcode":
            done = self._done.get(frame, "RESUME")
            self._done[frame] = dis.opname[code.co_code[frame.f_lasti]]
            if done.startswith(("CALL", "RESUME", "JUMP_BACK")) and (
                next(self._steps) == self._step
            ):
                self._done.clear()
                sys.settrace(None)
                raise KeyboardInterrupt
        return self._trace


@dataclass(eq=False)
class Reply:
    """A response, as far as an exchange looks at it."""

    status: int = 200
    retry_after: float | None = None
    closed: int = 0


Fate: TypeAlias = int | Reply | BaseException


@dataclass(frozen=True)
class Job:
    """A request, as far as an exchange looks at it."""

    method: str = "GET"
    is_declared_idempotent: bool | None = None
    is_replayable: bool = True
    key: Hashable = None
    deadline: float | None = None

    def can_replay(self) -> bool:
        return self.is_replayable

    def can_race(self) -> bool:
        return self.is_replayable

    def outcome_of(self, response: Reply, balancer: Balancer) -> Outcome:
        headers = {}
        if response.retry_after is not None:
            headers["retry-after"] = str(response.retry_after)
        return balancer.judge.outcome_of(response, response.status, headers)

    def outcome_of_error(self, error: Exception) -> Outcome:
        return outcome_of_exception(error)

    def is_answer(self, answer: Any) -> bool:
        return True


@dataclass
class Script:
    """Drives an exchange with neither a network nor a clock that runs.

    Attributes:
        clock: Moved by each Sleep, and by `latency` before each answer.
        fates: What becomes of one Send after the other, or a function of the backend;
            what comes after the last one is a 200.
        trace: The effects, as texts: ``"send http://10.0.0.1"``, ``"close 503"``,
            ``"sleep"``.
        effects: The same as they came.
        replies: What was answered.
    """

    clock: ManualClock
    fates: list[Fate] | Callable[[str], Fate] = field(default_factory=list)
    latency: float = 0.0
    trace: list[str] = field(default_factory=list)
    effects: list[Effect] = field(default_factory=list)
    replies: list[Reply] = field(default_factory=list)

    @property
    def sent_to(self) -> list[str]:
        return [e.backend.url for e in self.effects if isinstance(e, Send)]

    @property
    def sleeps(self) -> list[float]:
        return [e.seconds for e in self.effects if isinstance(e, Sleep)]

    @property
    def timeouts(self) -> list[float | None]:
        return [e.timeout for e in self.effects if isinstance(e, Send)]

    def run(self, steps: Generator[Effect, Any, T]) -> T:
        """Perform the effects of `steps`; return what they return."""
        try:
            effect = next(steps)
            while True:
                self.effects.append(effect)
                try:
                    result = self._perform(effect)
                except BaseException as error:  # noqa: BLE001 - as a driver does
                    effect = steps.throw(error)
                else:
                    effect = steps.send(result)
        except StopIteration as end:
            value: T = end.value
            return value

    def _perform(self, effect: Effect) -> Any:
        match effect:
            case Send(backend):
                self.trace.append(f"send {backend.url}")
                self.clock.advance(self.latency)
                return self._fate(backend.url)
            case Close(response):
                self.trace.append(f"close {response.status}")
                response.closed += 1
                return None
            case Sleep(seconds):
                self.trace.append("sleep")
                self.clock.advance(seconds)
                return None
        return perform(effect, None)

    def _fate(self, url: str) -> Reply:
        if callable(self.fates):
            fate = self.fates(url)
        else:
            fate = self.fates.pop(0) if self.fates else 200
        if isinstance(fate, BaseException):
            try:
                raise fate
            finally:
                del fate  # tests look for cycles, and are to find none of ours
        reply = Reply(fate) if isinstance(fate, int) else dataclasses.replace(fate)
        self.replies.append(reply)
        return reply
