"""The simulation: puts a world together, and lets its events happen in their order.

Not here: what a server does with a request (`_servers`), what its caller does with the
answer (`_callers`), and what is measured (`_record`).
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Hashable
from functools import partial
from heapq import heappop
from random import Random

from lbtransport._types import Backend
from lbtransport._validation import check_integer, check_number
from lbtransport.health import HealthPolicy
from lbtransport.load_balancer import LoadBalancer
from lbtransport.retry import Retry
from lbtransport.strategies import Strategy
from lbtransport.testing._callers import Caller, Callers
from lbtransport.testing._record import Record
from lbtransport.testing._servers import (
    Attempt,
    CentralQueue,
    Receiver,
    SimulatedServer,
)
from lbtransport.testing._timeline import Timeline
from lbtransport.testing._yardsticks import ShortestExpectedDelay
from lbtransport.testing.faults import Absent, Fault
from lbtransport.testing.result import Result
from lbtransport.testing.scenario import Scenario

SED_ORACLE = "sed_oracle"
CENTRAL_QUEUE = "central_queue"
YARDSTICKS = (SED_ORACLE, CENTRAL_QUEUE)

NEVER_EJECT = HealthPolicy(consecutive_failures=0, failure_ratio=0)

Keys = Callable[[Random], Hashable]


def simulate(
    scenario: Scenario,
    strategy: str | Callable[[], Strategy],
    *,
    seed: int = 0,
    health: HealthPolicy | bool = True,
    retry: Retry = False,
    max_in_flight: int | None = None,
    subset: int | None = None,
    keys: Keys | None = None,
    window: float = 1.0,
) -> Result:
    """Run a scenario through real balancers, in simulated time.

    The same arguments give the same result.
    The same seed gives each strategy the same requests at the same instants, so that
    the difference between two results is the strategies'.

    Args:
        scenario: What is simulated.
        strategy: A registered name, with options if it has some; or what makes a
            strategy, called once for each client; or, of those that see the truth,
            ``"sed_oracle"`` (the shortest expected delay: no client that sends a
            request at once does much better) or ``"central_queue"`` (one queue before
            all servers: no policy is better where these are equal).
        seed: What chance begins with.
        health: When a backend is ejected; False: never.
        retry: How a request is repeated; False: not at all.  Hedging is not simulated.
        max_in_flight: Requests that one client sends one backend at the same time.
        subset: Number of backends that each client keeps to.
        keys: Draws the key of a request, for the strategies that hash.
        window: Seconds of each of the result's windows.

    Raises:
        lbtransport.ConfigurationError: If a value makes no sense.
    """
    check_integer("seed", seed, least=0)
    check_number("window", window, above=True, unit="seconds")
    if not isinstance(health, HealthPolicy):
        health = HealthPolicy() if health else NEVER_EJECT
    make_balancer = partial(
        LoadBalancer,
        "simulated",
        health=health,
        retry=retry,
        max_in_flight=max_in_flight,
        subset=subset,
    )
    world = _World(scenario, seed, window=window, keys=keys)
    name = world.connect(strategy, make_balancer)
    world.run()
    return world.record.result(name, seed)


class _World:
    """Servers, clients, and what happens to them."""

    def __init__(
        self, scenario: Scenario, seed: int, *, window: float, keys: Keys | None
    ) -> None:
        self.record = Record(scenario, window)
        self._scenario = scenario
        self._seed = seed
        self._keys = keys
        self._timeline = Timeline()
        # One generator for each purpose: who draws more from one changes no other.
        self._arrivals = self._random("arrivals")
        self._works = self._random("works")
        self._key_chance = self._random("keys")
        self._gap = 1.0 / scenario.arrival_rate
        self._arrived = 0
        self._is_arriving = True
        self._callers = Callers(
            self._timeline,
            self.record,
            self._random("servers"),
            timeout=scenario.timeout,
            works_off_abandoned=scenario.works_off_abandoned,
        )
        self._balancers: list[LoadBalancer] = []

    def _random(self, purpose: str) -> Random:
        return Random(f"{self._seed}: {purpose}")

    def connect(
        self,
        strategy: str | Callable[[], Strategy],
        make_balancer: Callable[..., LoadBalancer],
    ) -> str:
        """Make servers, and clients that reach them; return the strategy's name."""
        plans, name = self._scenario.servers, strategy
        shared: deque[Attempt] | None = deque() if strategy == CENTRAL_QUEUE else None
        servers = [
            SimulatedServer(index, plan, self._callers, queue=shared)
            for index, plan in enumerate(plans)
        ]
        backends = [
            Backend(f"http://server-{index}", weight=plan.weight)
            for index, plan in enumerate(plans)
        ]
        by_url = {
            one.url: server for one, server in zip(backends, servers, strict=True)
        }
        receivers: dict[str, Receiver] = {**by_url}
        if shared is not None:
            strategy = "random"  # of the one backend that there is
            backends = [Backend("http://central")]
            receivers[backends[0].url] = CentralQueue(servers, shared)
        self._callers.connect(receivers)
        for number in range(self._scenario.clients):
            made: str | Strategy
            if strategy == SED_ORACLE:
                made = ShortestExpectedDelay(by_url)
            elif isinstance(strategy, str):
                made = strategy
            else:
                made = strategy()
                name = type(made).__name__
            rng = self._random(f"client {number}")
            self._balancers.append(
                make_balancer(backends, strategy=made, clock=self._timeline, rng=rng)
            )
        for fault in self._scenario.faults:
            # On the list that the clients of a central queue have is the queue alone.
            listed = None if shared is not None else backends[fault.server]
            self._plan(fault, servers[fault.server], listed)
        assert isinstance(name, str)
        return name

    def _plan(
        self, fault: Fault, server: SimulatedServer, backend: Backend | None
    ) -> None:
        """Enter into the timeline when a fault begins and ends."""

        def begin(_: None) -> None:
            server.suffer(fault)
            if backend is not None and isinstance(fault, Absent):
                for balancer in self._balancers:
                    balancer.remove_backend(backend)

        def end(_: None) -> None:
            server.recover(fault)
            if backend is not None and isinstance(fault, Absent):
                for balancer in self._balancers:
                    balancer.add_backend(backend)

        self._timeline.at(fault.begins_at, begin, None)
        if fault.ends_at < math.inf:
            self._timeline.at(fault.ends_at, end, None)

    def run(self) -> None:
        """Let requests arrive until the end, and wait for what is open then."""
        timeline, callers = self._timeline, self._callers
        events, timeouts = timeline.events, callers.timeouts
        self._await_arrival()
        while self._is_arriving or callers.open:
            at = events[0][0]
            if timeouts and timeouts[0][0] <= at:
                timeline.now, attempt = timeouts.popleft()
                callers.abandon(attempt)
            elif at < math.inf:
                _, _, act, what = heappop(events)
                timeline.now = at
                act(what)
            else:
                break  # nobody will ever answer what is open
        for caller in callers.open:
            self.record.failed(caller.arrived_at, "never answered")

    def _await_arrival(self) -> None:
        """Enter the next arrival into the timeline, if there is one."""
        gap = self._gap
        if self._scenario.arrivals == "poisson":
            gap *= -math.log(1.0 - self._arrivals.random())
        arrives_at = self._timeline.now + gap
        self._is_arriving = arrives_at < self._scenario.seconds
        if self._is_arriving:
            self._timeline.at(arrives_at, self._arrive, None)

    def _arrive(self, _: None) -> None:
        """Let a client have a request to make."""
        number, clients = self._arrived, self._balancers
        self._arrived += 1
        if self._scenario.arrivals == "poisson":
            number = int(self._arrivals.random() * len(clients))
        work = self._scenario.service(self._works)
        key = None if self._keys is None else self._keys(self._key_chance)
        caller = Caller(self._timeline.now, work, key)
        self._callers.begin(caller, clients[number % len(clients)])
        self._await_arrival()
