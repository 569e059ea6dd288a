"""The servers of the hammer, and the trouble that befalls them while it falls.

Trouble is arbitrary but for two rules, which make every GET that fails a fault of the
library:

- no request lives through more than two deaths of servers, and three attempts are
  allowed: the next server dies only when each request that saw the last one die has
  ended;
- of six servers at most one is dead, and at most two more are out of the service.
"""

from __future__ import annotations

import contextlib
import gc
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator

from lbtransport import LoadBalancer
from tests.servers import LoopbackServer, Reply, Request

SMALL = b"0123456789" * 20
CHUNK = b"0123456789abcdef" * 256
CHUNKS = 8
LARGE = CHUNK * CHUNKS

_SERVERS = 6
_MOST_AWAY = 2
_LONGEST_WORK = 0.02  # seconds that a server takes to answer
_LONGEST_PAUSE = 0.05  # seconds between two troubles


class Server(LoopbackServer):
    """Answers with its number, sometimes at once and sometimes a little later.

    Attributes:
        deaths: Twice how often it was killed, and odd while it dies: whoever reads a
            body then may be cut short.
    """

    def __init__(self, number: int, rng: random.Random) -> None:
        super().__init__(self._answer)
        self._number = number
        self._rng = rng
        self.deaths = 0

    def die(self) -> None:
        """Refuse connections, and cut those that are open."""
        self.deaths += 1
        self.kill()
        self.deaths += 1

    def _answer(self, request: Request) -> Reply:
        time.sleep(max(0.0, self._rng.uniform(-_LONGEST_WORK, _LONGEST_WORK)))
        headers = [("X-Server", str(self._number))]
        is_small = request.target == "/small"
        return Reply(200, headers, SMALL if is_small else [CHUNK] * CHUNKS)


class Fleet:
    """Six servers, the service in front of them, and their troubles.

    Attributes:
        servers: All of them, whether they are in the service or not.
        orders: The service.
        troubles: How often each kind of trouble came.
    """

    def __init__(self, servers: list[Server], rng: random.Random) -> None:
        self.servers = servers
        self.orders = LoadBalancer("orders", [server.url for server in servers])
        self.troubles: Counter[str] = Counter()
        self._rng = rng
        self._dead: Server | None = None
        self._away: dict[Server, Callable[[], None]] = {}  # and how each comes back

    def deaths(self) -> list[int]:
        """Return the deaths of each server."""
        return [server.deaths for server in self.servers]

    def trouble(self, over: threading.Event, quiesce: Callable[[], None]) -> None:
        """Bring trouble until it is over; leave everything well.

        Args:
            over: Set when it is.
            quiesce: Waits until each request that is under way has ended.
        """
        kinds = [self._kill, self._leave, self._look, self._reconcile]
        self._kill()
        while not over.is_set():
            kind = self._rng.choices(kinds, weights=[3, 6, 2, 1])[0]
            if kind == self._kill:
                quiesce()
            kind()
            over.wait(self._rng.uniform(0, _LONGEST_PAUSE))
        self._revive()
        while self._away:
            self._come_back()

    def _note(self, trouble: str) -> None:
        self.troubles[trouble] += 1

    def _kill(self) -> None:
        self._revive()
        present = [server for server in self.servers if server not in self._away]
        victim = self._rng.choice(present)
        victim.die()
        if self._rng.random() < 0.5:
            self._dead = victim
            self._note("killed")
        else:
            victim.start()
            self._note("restarted")

    def _revive(self) -> None:
        if self._dead is not None:
            self._dead.start()
            self._dead = None
            self._note("revived")

    def _leave(self) -> None:
        """Take a server out of the service, or let one come back."""
        if len(self._away) == _MOST_AWAY:
            self._come_back()
            return
        present = [server for server in self.servers if server not in self._away]
        server = self._rng.choice(present)
        way = self._rng.choice([self._remove, self._drain, self._mark])
        self._away[server] = way(server.url)

    def _come_back(self) -> None:
        server = self._rng.choice(list(self._away))
        self._away.pop(server)()

    def _remove(self, url: str) -> Callable[[], None]:
        self.orders.remove_backend(url)
        self._note("removed")
        return lambda: self.orders.add_backend(url)

    def _drain(self, url: str) -> Callable[[], None]:
        self.orders.drain(url)
        drained = self.orders.wait_drained(url, timeout=0.1)
        self._note("drained" if drained else "still draining")
        return lambda: self.orders.drain(url, draining=False)

    def _mark(self, url: str) -> Callable[[], None]:
        self.orders.mark_healthy(url, self._rng.choice([False, False, True]))
        self._note("marked")
        return lambda: self.orders.mark_healthy(url, None)

    def _look(self) -> None:
        gc.collect()
        assert all(
            0 <= one.waiting <= one.in_flight for one in self.orders.stats().backends
        )
        self._note("looked")

    def _reconcile(self) -> None:
        members = list(self.orders.backends)
        self._rng.shuffle(members)
        self.orders.update_backends(members)
        self._note("reconciled")


@contextlib.contextmanager
def fleet(seed: int) -> Iterator[Fleet]:
    """Run the servers."""
    with contextlib.ExitStack() as stack:
        servers = [
            stack.enter_context(Server(number, random.Random(seed + number)))
            for number in range(_SERVERS)
        ]
        yield Fleet(servers, random.Random(seed))
