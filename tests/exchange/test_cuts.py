"""Wherever an exchange is cut, whatever came back before: it gives everything back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Coroutine, Generator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import tenacity
from hypothesis import given, settings
from hypothesis import strategies as st

from lbtransport import RetryPolicy
from lbtransport._effects import Call, Close, Effect, Vet
from lbtransport.retry import Retry
from tests.core_kit import URLS, Reply, Script, in_flight, make_service
from tests.exchange.kit import IF_503, Client
from tests.exchange.test_rules import FATES


@dataclass
class Cut(Script):
    """A script that is cut instead of performing one of its effects.

    Attributes:
        at: Which, from 0.
        by: What is thrown; GeneratorExit is what the collector does.
        closings: How often each reply was to be closed, by its identity.
    """

    at: int = 0
    by: type[BaseException] = KeyboardInterrupt
    closings: Counter[int] = field(default_factory=Counter)

    def run_to_the_cut(self, steps: Generator[Effect, Any, Any]) -> Reply | None:
        """Perform up to the cut; return the answer, read to its end, if any."""
        answer: Reply | None = None
        # The script's own errors end an exchange as well.
        with suppress(BaseException):
            answer, selection = self.run(steps)
            selection.release()
        return answer

    def _perform(self, effect: Effect) -> Any:
        if isinstance(effect, Close):
            self.closings[id(effect.response)] += 1
        if len(self.effects) == self.at + 1:
            raise self.by
        if isinstance(effect, Vet):
            return None  # here any object is honoured
        if isinstance(effect, Call):
            return _settled(effect.function(*effect.arguments))
        return super()._perform(effect)


def _settled(result: Any) -> Any:
    """Return what an awaitable gives that waits for nothing."""
    if not isinstance(result, Coroutine):
        return result
    try:
        result.send(None)
    except StopIteration as end:
        return end.value
    raise AssertionError


RULES: dict[str, Retry] = {
    "policy": RetryPolicy(attempts=4),
    "own": tenacity.Retrying(
        stop=tenacity.stop_after_attempt(4), retry=IF_503, sleep=lambda seconds: None
    ),
    "own that awaits": tenacity.AsyncRetrying(
        stop=tenacity.stop_after_attempt(4), retry=IF_503
    ),
}


exchanges = {
    "names": st.lists(st.sampled_from(sorted(FATES)), max_size=4),
    "backends": st.integers(1, 4),
    "retry": st.sampled_from(sorted(RULES)),
}
LONGEST = 15  # effects: what four attempts take, about
few = settings(max_examples=30)  # each is cut in so many places


@few
@given(**exchanges)
def test_interrupt_anywhere_closes_what_is_discarded_and_keeps_nothing(
    names: list[str], backends: int, retry: str
) -> None:
    for at in range(LONGEST):
        script, client = _cut(names, backends, at, KeyboardInterrupt)

        answer = script.run_to_the_cut(client.steps(retry=RULES[retry]))

        closings = [script.closings[id(reply)] for reply in script.replies]
        assert closings == [int(reply is not answer) for reply in script.replies]
        assert in_flight(client.service) == 0


@few
@given(**exchanges)
def test_exchange_that_is_dropped_anywhere_keeps_nothing(
    names: list[str], backends: int, retry: str
) -> None:
    for at in range(LONGEST):
        script, client = _cut(names, backends, at, GeneratorExit)

        script.run_to_the_cut(client.steps(retry=RULES[retry]))

        assert in_flight(client.service) == 0


def _cut(
    names: list[str], backends: int, at: int, by: type[BaseException]
) -> tuple[Cut, Client]:
    client = Client(service=make_service(URLS[:backends]))
    fates: list[int | Reply | BaseException] = [FATES[name]() for name in names]
    return Cut(client.script.clock, fates, at=at, by=by), client
