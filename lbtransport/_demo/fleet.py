"""The servers of the demo: processes of our own, started, killed and started again.

Each is told to end by the end of its standard input, so that not even a demo that is
itself killed leaves one behind.
Not here: what a server answers (`server`).
"""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import threading
from dataclasses import dataclass
from types import TracebackType
from typing import IO, Self

from lbtransport import Backend
from lbtransport._demo.server import HOST

PATIENCE = 30.0  # seconds for a process to start or to end, on a very busy machine


@dataclass(frozen=True, slots=True)
class ServerPlan:
    """A server to be.

    Attributes:
        name: What it answers with.
        delay: Seconds that it takes to answer.
        note: What is special about it, in a word.
    """

    name: str
    delay: float
    note: str = ""


class FleetError(RuntimeError):
    """A server did not start."""


class Server:
    """One server, and the process that it lives in, if it lives."""

    def __init__(self, plan: ServerPlan) -> None:
        """Plan it; `start` starts it."""
        self.plan = plan
        self.port = 0
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None
        self._is_listening = False
        self._told = threading.Event()
        # Holds the port while it is dead, so that connections are refused and nobody
        # else is given the port.
        self._placeholder: socket.socket | None = None

    @property
    def pid(self) -> int | None:
        """The number of its process, if it has one."""
        return None if self._process is None else self._process.pid

    @property
    def backend(self) -> Backend:
        """What the balancer is told of it."""
        return Backend(f"http://{HOST}:{self.port}")

    @property
    def is_up(self) -> bool:
        """Whether it has said that it listens."""
        return self._is_listening

    def start(self) -> None:
        """Start its process, on the port that it had before; do not wait for it."""
        self._give_port_back()
        plan = self.plan
        arguments = ["--name", plan.name, "--delay", str(plan.delay)]
        process = self._process = subprocess.Popen(
            [
                *(sys.executable, "-m", "lbtransport._demo.server"),
                *(*arguments, "--port", str(self.port)),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            process_group=0,  # Ctrl-C is for us: we end our servers in good order
        )
        assert process.stdout is not None
        self._told.clear()
        self._reader = threading.Thread(target=self._listen, args=(process.stdout,))
        self._reader.start()

    def wait_up(self, timeout: float = PATIENCE) -> None:
        """Wait until it listens.

        Raises:
            FleetError: If it ended instead, or did neither in `timeout` seconds.
        """
        self._told.wait(timeout)
        if not self.is_up:
            raise FleetError(
                f"server {self.plan.name!r} did not start; what it said stands above, "
                f"or try: {sys.executable} -m lbtransport._demo.server --name a"
            )

    def kill(self) -> None:
        """Kill its process (SIGKILL), and keep its port from others."""
        assert self._process is not None
        self._process.kill()
        self._part()
        self._placeholder = _hold(self.port)

    def dismiss(self) -> None:
        """Let its process end, without waiting for it."""
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()

    def close(self, timeout: float = PATIENCE) -> None:
        """End its process, at the latest after `timeout` seconds."""
        self.dismiss()
        if self._process is not None:
            try:
                self._process.wait(timeout)
            except subprocess.TimeoutExpired:
                self._process.kill()
            self._part()
        self._give_port_back()

    def _part(self) -> None:
        """Wait for the end of the process, and of all that belongs to it."""
        process, self._process = self._process, None
        self._is_listening = False
        assert process is not None
        assert self._reader is not None
        with process:  # closes the pipes and waits
            self._reader.join()

    def _give_port_back(self) -> None:
        if self._placeholder is not None:
            self._placeholder.close()
            self._placeholder = None

    def _listen(self, output: IO[str]) -> None:
        """Hear from the process which port it has, or that it ended without a word."""
        line = output.readline()
        if line:
            self.port = int(line)
            self._is_listening = True
        self._told.set()


class Fleet:
    """All servers; a context manager, in which they run."""

    def __init__(self, plans: tuple[ServerPlan, ...]) -> None:
        """Plan them."""
        self.servers = {plan.name: Server(plan) for plan in plans}

    def __getitem__(self, name: str) -> Server:
        """Return the server of this name."""
        return self.servers[name]

    @property
    def names(self) -> dict[Backend, str]:
        """The servers' names, by what the balancer calls them."""
        return {server.backend: name for name, server in self.servers.items()}

    def __enter__(self) -> Self:
        """Start all, at the same time, and wait until they listen."""
        with contextlib.ExitStack() as undo:
            undo.callback(self.close)
            for server in self.servers.values():
                server.start()
            for server in self.servers.values():
                server.wait_up()
            undo.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End all."""
        self.close()

    def close(self) -> None:
        """End all: first tell each, then wait for each."""
        for server in self.servers.values():
            server.dismiss()
        for server in self.servers.values():
            server.close()


def _hold(port: int) -> socket.socket:
    """Bind a port without listening there, so that connecting to it is refused."""
    held = socket.socket()
    # Connections of the one who died may still linger on it.
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    held.bind((HOST, port))
    # No longer: else whoever binds "any port" with it set might be given this one.
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
    return held
