"""Two hundred backends on real sockets, of which fifty hang."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from typing import TypeAlias

import pytest

from lbtransport import HttpCheck, LoadBalancer, TcpCheck, events

PATIENCE = 30.0  # seconds; about ten times what the settings promise
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Sockets:
    """Many servers in one thread: those that hang accept and never answer.

    `LoopbackServer` has threads of its own for each connection, which is too much here.
    """

    def __init__(self, number: int, hanging: int) -> None:
        self._selector = selectors.DefaultSelector()
        self._lock = threading.Lock()
        self._waker, self._wakened = socket.socketpair()
        self._selector.register(self._wakened, selectors.EVENT_READ)
        self._connections: set[socket.socket] = set()
        self._listeners: dict[int, socket.socket] = {}
        self._hanging: set[int] = set()
        for index in range(number):
            port = self._listen(0)
            if index < hanging:
                self._hanging.add(port)
        self.ports = list(self._listeners)
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _listen(self, port: int) -> int:
        # Not the kit's: what was answered here may still be in TIME_WAIT.
        listener = socket.create_server(("127.0.0.1", port))
        listener.setblocking(False)
        port = listener.getsockname()[1]
        self._listeners[port] = listener
        self._selector.register(listener, selectors.EVENT_READ, self._accept)
        return port

    def kill(self, port: int) -> None:
        with self._lock:
            listener = self._listeners.pop(port)
            self._selector.unregister(listener)
            listener.close()

    def restart(self, port: int) -> None:
        with self._lock:
            self._listen(port)

    def close(self) -> None:
        self._waker.close()
        self._thread.join()
        for held in (*self._listeners.values(), *self._connections, self._wakened):
            held.close()
        self._selector.close()

    def _serve(self) -> None:
        while True:
            for key, _ in self._selector.select():
                if key.fileobj is self._wakened:
                    return
                with self._lock, contextlib.suppress(OSError, ValueError):
                    key.data(key.fileobj)

    def _accept(self, listener: socket.socket) -> None:
        connection, (_, _) = listener.accept()
        connection.setblocking(False)
        self._connections.add(connection)
        is_hanging = listener.getsockname()[1] in self._hanging
        react = self._hang if is_hanging else self._answer
        self._selector.register(connection, selectors.EVENT_READ, react)

    def _hang(self, connection: socket.socket) -> None:
        if not connection.recv(65536):
            self._part(connection)

    def _answer(self, connection: socket.socket) -> None:
        try:
            if connection.recv(65536):
                connection.send(ANSWER)
        finally:
            self._part(connection)

    def _part(self, connection: socket.socket) -> None:
        self._selector.unregister(connection)
        self._connections.discard(connection)
        connection.close()


@pytest.fixture
def sockets() -> Iterator[Sockets]:
    with contextlib.closing(Sockets(200, hanging=50)) as made:
        yield made


Verdicts: TypeAlias = Counter[bool | None]


def wait_for(service: LoadBalancer, is_so: Callable[[Verdicts], bool]) -> None:
    """Wait until the verdicts are so."""
    changed = threading.Event()
    unsubscribe = service.subscribe(lambda event: changed.set())
    while not is_so(Counter(b.checked for b in service.stats().backends)):
        # A first verdict that is good is no event.
        changed.wait(0.1)
        changed.clear()
    unsubscribe()


def test_death_and_return_are_found_while_fifty_of_two_hundred_hang(
    sockets: Sockets,
) -> None:
    before = {*threading.enumerate()}
    urls = [f"http://127.0.0.1:{port}" for port in sockets.ports]
    check = HttpCheck("/healthz", interval=2.0, timeout=1.0, fall=2, down_interval=2.0)
    out, back = threading.Event(), threading.Event()
    victim = sockets.ports[-1]

    def hear(event: events.Event) -> None:
        match event:
            case events.BackendFailing(_, backend) if backend.port == victim:
                out.set()
            case events.BackendRecovered(_, backend) if backend.port == victim:
                back.set()

    with LoadBalancer("orders", urls, checks=check) as orders:
        orders.subscribe(hear)
        wait_for(orders, lambda verdicts: verdicts == {True: 150, False: 50})
        extra = {*threading.enumerate()} - before
        out.clear()  # on a machine that is busy enough, it may have been
        sockets.kill(victim)
        assert out.wait(PATIENCE)
        back.clear()
        used = {orders.select().backend.port for _ in range(500)}
        sockets.restart(victim)
        assert back.wait(PATIENCE)

    assert [thread.name for thread in extra] == ["lbtransport-background"]
    assert used <= {*sockets.ports[50:-1]}
    assert {*threading.enumerate()} <= before  # idle ones of other tests may end


def test_connections_to_all_are_parted_with(sockets: Sockets) -> None:
    urls = [f"http://127.0.0.1:{port}" for port in sockets.ports]

    with LoadBalancer("orders", urls, checks=TcpCheck(interval=1, rise=1)) as orders:
        orders.stats()
        wait_for(orders, lambda verdicts: verdicts == {True: 200})
