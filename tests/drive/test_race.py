"""Races, and what becomes of the loser, in each driver."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import anyio
import pytest
from anyio.lowlevel import checkpoint

from lbtransport import Backend
from lbtransport._drive import drive, drive_async
from lbtransport._effects import Leg, Race, Send
from lbtransport._race import _MOST_THREADS, _Heat, threads
from tests.core_kit import A, B
from tests.drive.kit import PATIENCE

FIRST, EXTRA = Send(Backend(A), None), Send(Backend(B), None)
SOON = 0.01  # seconds
NEVER = 3600.0


class Gate:
    """Something to wait for, from a thread or a task."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def open(self) -> None:
        self._event.set()

    def wait(self) -> None:
        assert self._event.wait(PATIENCE)

    async def wait_async(self) -> None:
        while not self._event.is_set():  # noqa: ASYNC110 - a thread may open it
            await anyio.sleep(0.001)


@dataclass
class Track:
    """What happens to each backend's leg: it ends at once, or when its gate opens.

    Attributes:
        gates: Those that must open first.
        errors: What is raised in place of a response.
        closed: The responses that were closed.
        is_closed: Opens when the first one is.
        adopted: Who became the courier.
        cancelled: Whose leg was.
    """

    gates: dict[str, Gate] = field(default_factory=dict)
    errors: dict[str, BaseException] = field(default_factory=dict)
    closed: list[str] = field(default_factory=list)
    is_closed: Gate = field(default_factory=Gate)
    adopted: list[str] = field(default_factory=list)
    cancelled: list[str] = field(default_factory=list)

    def answer(self, backend: Backend) -> str:
        if backend.url in self.errors:
            raise self.errors[backend.url]
        return backend.url

    def close(self, response: str) -> None:
        self.closed.append(response)
        self.is_closed.open()


@dataclass
class Courier:
    track: Track
    sent_to: str = ""

    def twin(self) -> Self:
        return type(self)(self.track)

    def adopt(self, twin: Self) -> None:
        self.track.adopted.append(twin.sent_to)


class ThreadCourier(Courier):
    def send(self, backend: Backend, timeout: float | None) -> Any:
        self.sent_to = backend.url
        if backend.url in self.track.gates:
            self.track.gates[backend.url].wait()
        return self.track.answer(backend)

    def close(self, response: Any) -> None:
        self.track.close(response)


class TaskCourier(Courier):
    async def send(self, backend: Backend, timeout: float | None) -> Any:
        self.sent_to = backend.url
        try:
            await checkpoint()
            if backend.url in self.track.gates:
                await self.track.gates[backend.url].wait_async()
        except BaseException:
            self.track.cancelled.append(backend.url)
            raise
        return self.track.answer(backend)

    async def close(self, response: Any) -> None:
        await checkpoint()
        self.track.close(response)


def steps_of(race: Race) -> Generator[Any, Any, list[Leg]]:
    legs: list[Leg] = yield race
    return legs


def in_threads(race: Race, track: Track) -> list[Leg]:
    return drive(steps_of(race), ThreadCourier(track))


def in_tasks(backend: str) -> Callable[[Race, Track], list[Leg]]:
    def run(race: Race, track: Track) -> list[Leg]:
        async def main() -> list[Leg]:
            return await drive_async(steps_of(race), TaskCourier(track))

        return anyio.run(main, backend=backend)

    return run


TASKS = [
    pytest.param(in_tasks("asyncio"), id="asyncio"),
    pytest.param(in_tasks("trio"), id="trio"),
]
every_driver = pytest.mark.parametrize(
    "run", [pytest.param(in_threads, id="threads"), *TASKS]
)


def welcome(response: Any) -> bool:
    return True


def make_race(
    delay: float = SOON,
    *,
    extra: Callable[[], Send | None] = lambda: EXTRA,
    is_welcome: Callable[[Any], bool] = welcome,
) -> Race:
    return Race(FIRST, delay, extra, is_welcome)


def ended(legs: list[Leg]) -> list[tuple[int, Any]]:
    return [(leg.number, leg.error or leg.response) for leg in legs]


@every_driver
def test_answer_that_comes_in_time_is_alone(run: Any) -> None:
    track = Track()

    legs = run(make_race(NEVER, extra=pytest.fail), track)

    assert ended(legs) == [(0, A)]
    assert track.adopted == [A]
    assert track.closed == []


@every_driver
def test_extra_leg_wins_while_the_first_waits(run: Any) -> None:
    gate = Gate()
    track = Track(gates={A: gate})

    legs = run(make_race(), track)

    assert ended(legs) == [(1, B)]
    assert track.adopted == [B]
    gate.open()


@every_driver
def test_first_leg_may_win_after_all(run: Any) -> None:
    gates = {A: Gate(), B: Gate()}
    track = Track(gates=gates)

    def extra() -> Send:
        gates[A].open()
        return EXTRA

    legs = run(make_race(extra=extra), track)

    assert ended(legs) == [(0, A)]
    assert track.adopted == [A]
    gates[B].open()


@every_driver
def test_no_extra_leg_leaves_the_first_alone(run: Any) -> None:
    gate = Gate()
    track = Track(gates={A: gate})

    def extra() -> None:
        gate.open()

    assert ended(run(make_race(extra=extra), track)) == [(0, A)]


@every_driver
def test_failure_waits_for_the_other(run: Any) -> None:
    error = OSError("down")
    track = Track(gates={A: Gate(), B: Gate()}, errors={A: error})

    def extra() -> Send:
        track.gates[A].open()
        return EXTRA

    threading.Timer(SOON, track.gates[B].open).start()
    legs = run(make_race(extra=extra), track)

    # The failure may also have come too late to be heard of.
    assert ended(legs) in ([(0, error), (1, B)], [(1, B)])
    assert track.adopted == [B]


@every_driver
def test_answer_that_is_not_welcome_waits_for_the_other_and_is_closed(run: Any) -> None:
    gates = {A: Gate(), B: Gate()}
    track = Track(gates=gates)

    def is_welcome(response: Any) -> bool:
        gates[A].open()
        return bool(response == A)

    def extra() -> Send:
        gates[B].open()
        return EXTRA

    legs = run(make_race(extra=extra, is_welcome=is_welcome), track)

    assert ended(legs) == [(1, B), (0, A)]
    assert track.closed == [B]
    assert track.adopted == [A]


@every_driver
def test_last_of_two_that_are_not_welcome_is_kept(run: Any) -> None:
    track = Track(gates={A: Gate()})

    def is_welcome(response: Any) -> bool:
        track.gates[A].open()
        return False

    legs = run(make_race(is_welcome=is_welcome), track)

    assert ended(legs) == [(1, B), (0, A)]
    assert track.closed == [B]


@every_driver
def test_what_goes_wrong_with_the_extra_leg_is_raised(run: Any) -> None:
    gate = Gate()
    track = Track(gates={A: gate})

    def extra() -> Send:
        gate.open()
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run(make_race(extra=extra), track)


@pytest.mark.parametrize("run", TASKS)
def test_loser_is_cancelled(run: Any) -> None:
    track = Track(gates={A: Gate()})

    run(make_race(), track)

    assert track.cancelled == [A]


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_both_are_cancelled_with_the_caller(backend: str) -> None:
    track = Track(gates={A: Gate(), B: Gate()})

    async def main() -> None:
        with anyio.move_on_after(0.2) as scope:
            await drive_async(steps_of(make_race()), TaskCourier(track))
        assert scope.cancelled_caught

    anyio.run(main, backend=backend)

    assert sorted(track.cancelled) == [A, B]


@every_driver
def test_interrupted_race_closes_what_it_has_heard_of(run: Any) -> None:
    gate = Gate()
    track = Track(gates={A: gate})

    def is_welcome(response: Any) -> bool:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run(make_race(is_welcome=is_welcome), track)

    assert track.closed == [B]
    gate.open()


class CutCourier(TaskCourier):
    """Has its caller cancelled at one step; no later one goes on by itself."""

    cut_at: ClassVar[str]
    scope: ClassVar[anyio.CancelScope]

    async def _step(self, name: str) -> None:
        if name == self.cut_at:
            self.scope.cancel()
        await checkpoint()

    async def send(self, backend: Backend, timeout: float | None) -> Any:
        self.sent_to = backend.url
        if backend.url == A:
            try:
                await anyio.sleep(NEVER)
            finally:
                with anyio.CancelScope(shield=True):
                    await self._step("a loser ends")
        return self.track.answer(backend)

    async def close(self, response: Any) -> None:
        self.track.close(response)
        with anyio.CancelScope(shield=True):
            await self._step("a loser is closed")
        await checkpoint()


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("cut_at", ["a loser ends", "an answer is not welcome"])
def test_answer_is_closed_when_the_caller_is_cancelled(
    backend: str, cut_at: str
) -> None:
    track = Track()

    def is_welcome(response: Any) -> bool:
        if cut_at == "an answer is not welcome":
            CutCourier.scope.cancel()
            return False
        return True

    async def main() -> None:
        CutCourier.cut_at = cut_at
        with anyio.CancelScope() as CutCourier.scope:
            await drive_async(
                steps_of(make_race(is_welcome=is_welcome)), CutCourier(track)
            )
        assert CutCourier.scope.cancelled_caught

    anyio.run(main, backend=backend)

    assert track.closed == [B]


class CutWhileClosing(CutCourier):
    """Answers to both, one after the other."""

    answered: ClassVar[anyio.Event]

    async def send(self, backend: Backend, timeout: float | None) -> Any:
        self.sent_to = backend.url
        if backend.url == A:
            await self.answered.wait()
        return self.track.answer(backend)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_both_are_closed_when_the_caller_is_cancelled_meanwhile(backend: str) -> None:
    track = Track()

    def is_welcome(response: Any) -> bool:
        CutWhileClosing.answered.set()
        return bool(response == A)

    async def main() -> None:
        CutWhileClosing.cut_at = "a loser is closed"
        CutWhileClosing.answered = anyio.Event()
        with anyio.CancelScope() as CutWhileClosing.scope:
            await drive_async(
                steps_of(make_race(is_welcome=is_welcome)), CutWhileClosing(track)
            )
            await checkpoint()

    anyio.run(main, backend=backend)

    assert track.closed[0] == B
    assert [*track.closed, *track.adopted].count(A) == 1


def test_what_comes_too_late_is_closed_by_its_thread() -> None:
    track = Track(gates={A: Gate()})
    in_threads(make_race(), track)

    track.gates[A].open()

    track.is_closed.wait()
    assert track.closed == [A]


def test_without_a_thread_there_is_no_race() -> None:
    gate = Gate()
    started = threading.Semaphore(0)

    def occupy() -> None:
        started.release()
        gate.wait()

    while threads.start(occupy):
        assert started.acquire(timeout=PATIENCE)
    try:
        legs = in_threads(make_race(0.0, extra=pytest.fail), track := Track())
    finally:
        gate.open()

    assert ended(legs) == [(0, A)]
    assert track.adopted == []  # it was the courier itself


def test_extra_leg_without_a_thread_is_none() -> None:
    busy = Gate()
    track = Track(gates={A: Gate()})

    def extra() -> Send:
        while threads.start(busy.wait):
            pass
        track.gates[A].open()
        return EXTRA

    try:
        assert ended(in_threads(make_race(extra=extra), track)) == [(0, A)]
    finally:
        busy.open()


def test_exit_of_a_thread_is_the_callers_to_raise() -> None:
    track = Track(errors={A: SystemExit(3)})

    (leg,) = in_threads(make_race(NEVER), track)

    assert isinstance(leg.error, SystemExit)


@pytest.mark.parametrize("which", [0, 1])
def test_thread_that_the_system_refuses_is_none(
    which: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    start, asked = threading.Thread.start, list[threading.Thread]()

    def refuse(thread: threading.Thread) -> None:
        asked.append(thread)
        if len(asked) > which:
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refuse)
    for _ in range(2 * _MOST_THREADS):
        asked.clear()
        track = Track(gates={A: Gate()} if which else {})

        def extra(track: Track = track) -> Send:
            track.gates[A].open()
            return EXTRA

        assert ended(in_threads(make_race(0.0, extra=extra), track)) == [(0, A)]

    assert len(asked) == which + 1  # there is still a place for it


def test_interrupt_when_a_thread_has_begun_leaves_its_response_to_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    start, track = threading.Thread.start, Track()

    def start_late(thread: threading.Thread) -> None:
        start(thread)
        raise KeyboardInterrupt

    monkeypatch.setattr(threading.Thread, "start", start_late)
    with pytest.raises(KeyboardInterrupt):
        in_threads(make_race(NEVER), track)

    track.is_closed.wait()
    assert track.closed == [A]


def test_places_come_back() -> None:
    for _ in range(3 * _MOST_THREADS):
        in_threads(make_race(NEVER), Track())


class NeverClosedError(Exception):
    """What closing a response may come to."""


@every_driver
def test_response_that_cannot_be_closed_is_no_matter(
    run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    track = Track(gates={A: Gate()})

    def fail(response: str) -> None:
        raise NeverClosedError

    monkeypatch.setattr(track, "close", fail)

    def is_welcome(response: Any) -> bool:
        track.gates[A].open()
        return bool(response == A)

    assert ended(run(make_race(is_welcome=is_welcome), track)) == [(1, B), (0, A)]


def test_leg_that_ended_in_the_same_moment_is_closed_in_threads() -> None:
    track = Track()
    heat = _Heat(ThreadCourier(track))
    assert heat.start(FIRST)
    assert heat.start(EXTRA)
    for leg in [heat.ended.get(timeout=PATIENCE) for _ in range(2)]:
        heat.ended.put(leg)

    heat.end()

    assert sorted(track.closed) == [A, B]


class TwinCourier(TaskCourier):
    """Answers to both in the same round of the loop."""

    both: ClassVar[anyio.Event]

    async def send(self, backend: Backend, timeout: float | None) -> Any:
        self.sent_to = backend.url
        if backend.url == A:
            await self.both.wait()
        return self.track.answer(backend)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_leg_that_ended_in_the_same_moment_is_closed_in_tasks(backend: str) -> None:
    track = Track()

    async def main() -> list[Leg]:
        TwinCourier.both = anyio.Event()

        def extra() -> Send:
            TwinCourier.both.set()
            return EXTRA

        return await drive_async(steps_of(make_race(extra=extra)), TwinCourier(track))

    (leg,) = anyio.run(main, backend=backend)

    assert {leg.response, *track.closed} == {A, B}
    assert track.adopted == [leg.response]


class FailingFirst(TwinCourier):
    """Fails on the first leg, and lets the other one end after that."""

    failed: ClassVar[anyio.Event]

    async def send(self, backend: Backend, timeout: float | None) -> Any:
        self.sent_to = backend.url
        if backend.url == A:
            await self.both.wait()
            self.failed.set()
            raise OSError("down")
        await self.failed.wait()
        return self.track.answer(backend)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_failure_that_comes_first_leaves_the_other_to_decide(backend: str) -> None:
    track = Track()

    async def main() -> list[Leg]:
        FailingFirst.both, FailingFirst.failed = anyio.Event(), anyio.Event()

        def extra() -> Send:
            FailingFirst.both.set()
            return EXTRA

        return await drive_async(steps_of(make_race(extra=extra)), FailingFirst(track))

    lost, kept = anyio.run(main, backend=backend)

    assert isinstance(lost.error, OSError)
    assert kept.response == B
    assert track.adopted == [B]
    assert track.closed == []
