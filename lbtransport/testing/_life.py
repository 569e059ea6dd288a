"""The life of a balancer, in which everything happens in any order, by seeded chance.

Requests are selected, answered, cut off, given up and dropped; backends come, go and
are drained, and change their weights; time stands still, runs and leaps.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from random import Random

from lbtransport._clock import ManualClock
from lbtransport._errors import NoBackendsAvailable
from lbtransport._selection import Selection
from lbtransport._types import Backend, Fault, Outcome
from lbtransport._types.outcome import FAULTS
from lbtransport.load_balancer import LoadBalancer
from lbtransport.testing._simulation import NEVER_EJECT
from lbtransport.testing._watched import Watched

URLS = tuple(f"http://10.0.0.{number}" for number in range(1, 9))
KEYS: tuple[Hashable, ...] = (
    *(None, "", "user-17", "Łódź", b"\xff", 0, -1, 2**80, True, 1.5),
    *((), ("eu", 17), frozenset({"a", "b"})),
)
WEIGHTS = (0, 0.1, 1, 1, 1, 3, 1000)
PAUSES = (0.0, 0.0, 0.001, 0.05, 1.0, 30.0, 10_000.0)

ENDINGS: tuple[Callable[[Selection], None], ...] = (
    lambda selection: selection.release(),
    lambda selection: selection.release(latency=0.25),
    lambda selection: selection.release(outcome=FAULTS[Fault.CONNECT]),
    lambda selection: selection.release(outcome=FAULTS[Fault.RESPONSE_TIMEOUT]),
    lambda selection: selection.release(outcome=Outcome.failure("status 500")),
    lambda selection: selection.release(outcome=Outcome.neutral()),
    lambda selection: selection.cancel(),
    lambda selection: selection.responded(outcome=Outcome.failure("status 500")),
    lambda _: None,  # dropped: it is given back when it is collected
)


def serve(
    strategy: Watched, weights: tuple[float, ...], *, seed: int = 7
) -> LoadBalancer:
    """Return a balancer of so many backends whose clock stands still."""
    return LoadBalancer(
        "checked",
        [
            Backend(url, weight=weight)
            for url, weight in zip(URLS, weights, strict=False)
        ],
        strategy=strategy,
        health=NEVER_EJECT,
        clock=ManualClock(),
        rng=Random(seed),
    )


class Life:
    """What happens to one balancer; the same for the same seed and choices."""

    def __init__(self, strategy: Watched, seed: int) -> None:
        """Begin with some backends."""
        self._chance = Random(f"life {seed}")
        self._open: list[Selection] = []
        self._clock = ManualClock(self._chance.choice([0.0, 1000.0]))
        self._service = LoadBalancer(
            "checked",
            self._some_backends(),
            strategy=strategy,
            health=NEVER_EJECT,
            clock=self._clock,
            rng=Random(seed),
        )

    def run(self, steps: int) -> None:
        """Let so many things happen, and then give back what is left."""
        acts = [self._select, self._respond, self._end, self._wait, self._change]
        for _ in range(steps):
            self._chance.choices(acts, (10, 4, 8, 4, 1))[0]()
        while self._open:
            self._end()

    def _some_backends(self) -> list[Backend]:
        urls = self._chance.sample(URLS, self._chance.randint(1, len(URLS)))
        return [Backend(url, weight=self._chance.choice(WEIGHTS)) for url in urls]

    def _select(self) -> None:
        backends = self._service.backends
        tried = self._chance.sample(backends, self._chance.randint(0, len(backends)))
        exclude = self._chance.choice([(), (), tried])
        try:
            selection = self._service.select(self._chance.choice(KEYS), exclude)
        except NoBackendsAvailable:  # all are drained, or were tried
            return
        self._open.append(selection)

    def _respond(self) -> None:
        if self._open:
            self._chance.choice(self._open).responded()

    def _end(self) -> None:
        if self._open:
            selection = self._open.pop(self._chance.randrange(len(self._open)))
            self._chance.choice(ENDINGS)(selection)

    def _wait(self) -> None:
        self._clock.advance(self._chance.choice(PAUSES))

    def _change(self) -> None:
        service = self._service
        match self._chance.randrange(3):
            case 0:
                service.update_backends(self._some_backends())
            case 1:
                url = self._chance.choice(URLS)
                service.add_backend(Backend(url, weight=self._chance.choice(WEIGHTS)))
            case _:
                backend = self._chance.choice(service.backends)
                service.drain(backend, self._chance.random() < 0.5)
