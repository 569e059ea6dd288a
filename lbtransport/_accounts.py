"""The accounts of a service: what each selection, as it goes on, says of its backend.

A selection is opened when it is made and closed exactly once; in between the headers
may come.
Closing it ends what is in flight and hands the outcome to the detector, whose changes
become events.

Selections come here by themselves, from any thread, under the lock of their balancer.
A finaliser may run inside any allocation, so also while this very thread holds the
lock: `abandon` takes none and only appends, and select, release and stats settle.
It may also be somebody else's: the collector closes a generator that was dropped half
read, and the generator's `finally` closes the response.  So `release` does as `abandon`
does where its own thread holds the lock, which is why that knows its owner.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import cast

from lbtransport import events
from lbtransport._announcer import Announcer
from lbtransport._backends import BackendState
from lbtransport._roster import Roster
from lbtransport._selection import RELEASED, RESPONDED, WAITING, Selection
from lbtransport._types import Outcome, Verdict
from lbtransport._types.outcome import CANCELLED, SUCCESS
from lbtransport.health.detector import Change, Detector, Fleet
from lbtransport.strategies import Strategy

# About the last ten samples; the average is for people, strategies keep their own.
_LATENCY_GAIN = 0.2
_BATCH = 256  # samples; of a tenth of a millisecond together


class Accounts:
    """Follows the selections of one service from headers to end."""

    def __init__(
        self,
        roster: Roster,
        detector: Detector,
        announcer: Announcer,
        strategy: Strategy,
        *,
        max_in_flight: float,
        lock: threading.RLock,
        now: Callable[[], float],
        failure_statuses: frozenset[int],
    ) -> None:
        """Have nothing in flight.

        Args:
            roster: Whose candidates change with what is in flight.
            detector: Judges outcomes.
            announcer: Tells others what changed.
            strategy: Hears of each selection, if it wants to.
            max_in_flight: Room of one backend; a large number if it is not limited.
            lock: Guards all of these.
            now: Reads the clock.
            failure_statuses: Statuses that are failures.
        """
        self.failure_statuses = failure_statuses
        self.lock = lock
        self._now = now
        self._roster = roster
        self._detector = detector
        self._announcer = announcer
        self.selections = 0  # ever
        self._max_in_flight = max_in_flight
        # Appended to by finalisers, with the outcome if one is known.
        self.abandoned: deque[tuple[Selection, Outcome | None, float | None]]
        self.abandoned = deque()
        self._samples: list[tuple[BackendState, float, float]] = []
        # What each request needs, or need not have, is looked up once.
        self._noted = announcer.noted
        self._watchers = announcer.watchers
        self._recent = detector.outcomes
        self._on_selected: Callable[..., None] | None
        self._on_responded: Callable[..., None] | None
        self._on_released: Callable[..., None] | None
        self._on_selected = getattr(strategy, "selected", None)
        self._on_responded = getattr(strategy, "responded", None)
        self._on_released = getattr(strategy, "released", None)
        self._on_returned: Callable[..., None] | None
        self._on_returned = getattr(strategy, "returned", None)

    # -- from the selections, under no lock ---------------------------------------

    def respond(self, selection: Selection, outcome: Outcome | None) -> None:
        """Note that a selection's headers are here."""
        with self.lock:
            if selection.stage != WAITING:
                return
            self._respond(selection, outcome, self._now())
        if self._noted or self._watchers:
            self._announcer.announce()

    def release(
        self, selection: Selection, outcome: Outcome, latency: float | None
    ) -> None:
        """Give a selection's backend back; the second time does nothing."""
        # As `threading.Condition` asks.
        if self.lock._is_owned():  # type: ignore[attr-defined]  # noqa: SLF001
            self.abandoned.append((selection, outcome, latency))
            return
        with self.lock:
            if selection.stage == RELEASED:
                return
            now = self._now()
            self._close(selection, outcome, now, latency)
            if self.abandoned:
                self.settle(now)
        if self._noted or self._watchers:
            self._announcer.announce()

    def abandon(self, selection: Selection) -> None:
        """Take note, from a finaliser, of a selection that nobody holds any more."""
        self.abandoned.append((selection, None, None))

    # -- from the balancer, which holds the lock ----------------------------------

    def open(self, selection: Selection, now: float) -> None:
        """Count a new selection."""
        state = selection.state
        is_trial = state.is_suspect and state.circuit.is_half_open(now)
        if is_trial or state.in_flight + 1 >= self._max_in_flight:
            self._roster.invalidate()
        # The interpreter looks for signals at calls, and here is none: an interrupt
        # finds nothing counted, or all of it and a selection that can be settled.
        state.in_flight += 1
        state.waiting += 1
        state.total += 1
        self.selections += 1
        state.last_used_at = now
        if is_trial:
            circuit = state.circuit
            circuit.trials += 1
            circuit.trial = selection.trial = circuit.trials
        selection.stage = WAITING
        if is_trial:
            self._announcer.note(events.BackendOnTrial, state.backend)
        if self._on_selected is not None:
            self._on_selected(state, now=now)

    def settle(self, now: float) -> None:
        """Close the accounts of what was dropped without being released."""
        while self.abandoned:
            # Taken away last, so that an interrupt leaves it to the next one.
            selection, outcome, latency = self.abandoned[0]
            if selection.stage != RELEASED:
                if outcome is None:
                    # Headers that nobody read to the end are headers all the same.
                    outcome = SUCCESS if selection.stage == RESPONDED else CANCELLED
                self._close(selection, outcome, now, latency)
            self.abandoned.popleft()

    def returned(self, state: BackendState, now: float) -> None:
        """Take note that an ejected backend is back, and begins anew."""
        self._roster.ramps.begin(state, now)
        if self._on_returned is not None:
            self._on_returned(state)
        self._announcer.note(events.BackendReturned, state.backend)

    def take_samples(self) -> None:
        """Bring averages and percentiles up to date."""
        samples, self._samples = self._samples, []
        for state, sample, at in samples:
            state.latencies.record(sample, at)
            before = sample if state.latency is None else state.latency
            state.latency = before + _LATENCY_GAIN * (sample - before)

    # -- the entries ---------------------------------------------------------------

    def _respond(
        self, selection: Selection, outcome: Outcome | None, now: float
    ) -> None:
        """Enter that the headers of a selection, which waits, are here."""
        state = selection.state
        # A long stream must neither keep the trial's slot nor hide a failure.
        is_verdict = outcome is not None and (
            outcome is not SUCCESS or selection.trial != 0
        )
        is_trial = is_verdict and 0 != selection.trial == state.circuit.trial
        if is_trial:
            self._roster.invalidate()
        selection.stage = RESPONDED  # no calls in these lines, as above
        state.waiting -= 1
        if is_trial:
            state.circuit.trial = 0
        self._answered(selection, outcome or SUCCESS, now, None)
        if outcome is not None and is_verdict:
            self._judge(selection, outcome, now, is_trial=is_trial)

    def _close(
        self, selection: Selection, outcome: Outcome, now: float, latency: float | None
    ) -> None:
        """Close the account of one selection, which must be open."""
        recent = self._recent
        if now > recent.fades_at:
            self._pass_time(now)
        state, judged = selection.state, selection.judged
        was_waiting = selection.stage == WAITING
        is_trial = 0 != selection.trial == state.circuit.trial
        if is_trial or state.in_flight >= self._max_in_flight:
            self._roster.invalidate()
        selection.stage = RELEASED  # no calls in these lines, as above
        state.in_flight -= 1
        if was_waiting:
            state.waiting -= 1
        if is_trial:
            state.circuit.trial = 0
        # Most are plain successes, and asking one for what it is would be a call.
        if was_waiting and (outcome is SUCCESS or outcome.is_answer):
            was_waiting = False  # its headers came, and are told only now
            self._answered(selection, outcome, now, latency)
        elif was_waiting:
            selection.outcome, selection.elapsed = outcome, now - selection.started_at
        if judged is None and outcome is SUCCESS and not state.is_suspect:
            if not state.is_removed:
                recent.count += 1
        else:
            self._conclude(selection, outcome, now, is_trial=is_trial)
        if self._on_released is not None:
            self._on_released(
                state,
                started_at=selection.started_at,
                now=now,
                outcome=outcome,
                was_waiting=was_waiting,
            )

    def _answered(
        self, selection: Selection, outcome: Outcome, now: float, latency: float | None
    ) -> None:
        """Take the latency of headers, if it says something, and tell the strategy."""
        state = selection.state
        sample = now - selection.started_at if latency is None else latency
        selection.outcome, selection.elapsed = outcome, sample
        if outcome.sample:
            # For people, so there is time: many at once cost half as much.
            self._samples.append((state, sample, now))
            if len(self._samples) >= _BATCH:
                self.take_samples()
        if self._on_responded is not None:
            self._on_responded(
                state,
                started_at=selection.started_at,
                now=now,
                latency=sample,
                outcome=outcome,
            )

    def _conclude(
        self, selection: Selection, outcome: Outcome, now: float, *, is_trial: bool
    ) -> None:
        """Take on record how a selection ended that is no plain success."""
        judged, verdict = selection.judged, outcome.health
        is_failure = verdict is Verdict.FAILURE
        if is_failure or (judged or verdict) is not Verdict.SUCCESS:
            selection.state.misses += 1  # before anybody counts successes
        if judged is None or (is_failure and judged is not Verdict.FAILURE):
            was_trial = selection.state.circuit.was_closed_by(selection.trial, now)
            self._judge(selection, outcome, now, is_trial=is_trial or was_trial)

    def _judge(
        self, selection: Selection, outcome: Outcome, now: float, *, is_trial: bool
    ) -> None:
        """Take an outcome on record and act on what it changed."""
        if now >= self._detector.turns_at:
            self._pass_time(now)
        selection.judged = outcome.health
        state = selection.state
        if outcome.health is Verdict.FAILURE:
            state.failures += 1
            state.is_suspect = True
        if state.is_removed:
            return
        if outcome.until is not None and outcome.until > max(
            now, state.throttled_until
        ):
            state.throttled_until = outcome.until
            self._roster.invalidate()
            self._announcer.note(
                events.BackendThrottled, state.backend, outcome.until - now
            )
        change = self._detector.record(
            state,
            outcome,
            started_at=selection.started_at,
            is_trial=is_trial,
            now=now,
            fleet=lambda: self._fleet(now),
        )
        if outcome.health is Verdict.SUCCESS and state.circuit.is_closed:
            state.is_suspect = False
        if change is Change.NOTHING:
            return
        self._roster.invalidate()
        if change is Change.EJECTED:
            self._ejected(state, now)
        elif change is Change.RETURNED:
            self.returned(state, now)
        elif change is Change.DISTRUSTED:
            self._announcer.note(events.CertificatesRefused, state.backend)

    def _pass_time(self, now: float) -> None:
        """Have the detector look at its clock, and act on what it finds."""

        def fleet() -> Fleet:
            self.take_samples()  # latencies are compared
            return self._fleet(now)

        for peer in self._detector.pass_time(now, fleet):
            state = cast(BackendState, peer)
            state.is_suspect = True
            self._roster.invalidate()
            self._ejected(state, now)

    def _ejected(self, state: BackendState, now: float) -> None:
        circuit = state.circuit
        seconds = (circuit.ejected_until or now) - now
        self._announcer.note(
            events.BackendEjected, state.backend, circuit.reason, seconds
        )

    def _fleet(self, now: float) -> Fleet:
        self._roster.refresh(now)
        selectable = self._roster.selectable
        return Fleet(
            members=len(self._roster.members),
            in_rotation=selectable.in_rotation,
            ejected=selectable.ejected,
            peers=cast(Sequence[BackendState], selectable.candidates),
        )
