"""What is simulated: servers, their load, and what goes wrong; values, and no code.

All times are seconds, and begin with 0.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from lbtransport._errors import ConfigurationError
from lbtransport._validation import check_integer, check_number
from lbtransport.testing.distributions import Exponential, Service, mean_of
from lbtransport.testing.faults import Absent, Fault

Arrivals = Literal["poisson", "constant"]

USUAL_SERVICE = Exponential(0.05)


@dataclass(frozen=True, slots=True)
class Server:
    """A server: so many requests at once, the others wait in the order of arrival.

    Args:
        slots: Requests that are worked on at the same time, at least 1.
        slowness: How many times as long it takes as the service times say.
        weight: What the clients are told to use it by.
    """

    slots: int = 4
    slowness: float = 1.0
    weight: float = 1.0

    def __post_init__(self) -> None:
        """Refuse values out of range."""
        check_integer("slots", self.slots, least=1)
        check_number("slowness", self.slowness, above=True)
        check_number("weight", self.weight)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A fleet of servers, the clients that call it, and what goes wrong.

    Args:
        servers: The fleet.
        rate: Requests per second, of all clients together.
        utilisation: The same, as a part of what the servers can do that are there at
            the beginning; give one of the two.
        service: Draws what a request needs, in seconds of a server of slowness 1; a
            retry needs the same again.
        seconds: Requests arrive from 0 until then.
        warmup: Requests that arrive before this instant are not counted.
        clients: Independent programs, each with a balancer of its own.
        arrivals: ``"poisson"``: at random, to clients at random; ``"constant"``: at
            equal distances, to one client after the other.
        timeout: Seconds after which a client abandons an attempt; None if it never
            does.
        works_off_abandoned: Whether a server goes on with what was abandoned, as most
            do, for they do not notice.
        faults: What goes wrong.

    Raises:
        lbtransport.ConfigurationError: If a value makes no sense.
    """

    servers: Sequence[Server]
    rate: float | None = None
    utilisation: float | None = None
    service: Service = USUAL_SERVICE
    seconds: float = 70.0
    warmup: float = 10.0
    clients: int = 1
    arrivals: Arrivals = "poisson"
    timeout: float | None = 2.0
    works_off_abandoned: bool = True
    faults: Sequence[Fault] = ()

    def __post_init__(self) -> None:
        """Refuse what makes no sense, and keep sequences that nobody changes."""
        object.__setattr__(self, "servers", tuple(self.servers))
        object.__setattr__(self, "faults", tuple(self.faults))
        if not self.servers:
            raise ConfigurationError("servers=[]: give at least one Server")
        if (self.rate is None) is (self.utilisation is None):
            raise ConfigurationError(
                f"rate={self.rate!r} and utilisation={self.utilisation!r}: give one of "
                f"them, and the other follows"
            )
        if self.rate is not None:
            check_number("rate", self.rate, above=True, unit="requests per second")
        if self.utilisation is not None:
            check_number("utilisation", self.utilisation, above=True)
        check_number("warmup", self.warmup, unit="seconds")
        check_number(
            "seconds", self.seconds, least=self.warmup, above=True, unit="seconds"
        )
        check_integer("clients", self.clients, least=1)
        if self.timeout is not None:
            check_number("timeout", self.timeout, above=True, unit="seconds")
        if self.arrivals not in get_args(Arrivals):
            raise ConfigurationError(
                f"arrivals={self.arrivals!r}: choose one of: "
                f"{', '.join(get_args(Arrivals))}"
            )
        for fault in self.faults:
            if fault.server >= len(self.servers):
                raise ConfigurationError(
                    f"{fault!r}: there is no server {fault.server}, the last is "
                    f"{len(self.servers) - 1}"
                )
        if not math.isfinite(self.arrival_rate) or self.arrival_rate <= 0:
            raise ConfigurationError(
                f"utilisation={self.utilisation!r}: no server is there at the "
                f"beginning; give rate="
            )

    @property
    def arrival_rate(self) -> float:
        """Requests per second, of all clients together."""
        if self.rate is not None:
            return self.rate
        assert self.utilisation is not None
        absent = {
            fault.server
            for fault in self.faults
            if isinstance(fault, Absent) and not fault.begins_at
        }
        slots = math.fsum(
            server.slots / server.slowness
            for index, server in enumerate(self.servers)
            if index not in absent
        )
        return self.utilisation * slots / mean_of(self.service)
