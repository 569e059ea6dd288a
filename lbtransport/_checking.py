"""Whether, and where, the checks of one balancer run.

Lazy: they begin with the first use of the balancer, since a process often knows of
services that it never calls.

Not here: the thread and the loops (`_background`), and what is done (`_upkeep`).
"""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from lbtransport._balancer import Balancer
from lbtransport._upkeep import Start, Steps, keep_checking
from lbtransport.checks import CustomCheck, HttpCheck, TcpCheck

if TYPE_CHECKING:
    from lbtransport._background import Job


class Checking:
    """The active checks of one balancer.  Thread-safe."""

    def __init__(
        self,
        balancer: Balancer,
        check: HttpCheck | TcpCheck | CustomCheck | None,
        *,
        host: str | None,
        tls_name: str | None,
    ) -> None:
        """Begin at the first use of `balancer`; never if `check` is None."""
        self._balancer = balancer
        self._check = check
        self._host = host
        self._tls_name = tls_name
        self._is_manual = False  # run by `background`, so never by the thread
        self._is_running = False  # inside such a block
        self._is_closed = False
        self._reset()

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._job: Job | None = None  # guarded by _lock
        if self._check is not None:
            # Whatever is done with a balancer ends with telling those who watch it.
            self._balancer.announcer.watch().listen(self._start)

    def _start(self) -> None:
        from lbtransport._background import background  # noqa: PLC0415 - see its head

        with self._lock:
            if not (self._is_closed or self._is_manual or self._job):
                self._job = background.start(self._work)

    def _work(self, start: Start) -> Steps:
        from lbtransport._probes import Naming, make_probe  # noqa: PLC0415 - as above

        assert self._check is not None
        naming = Naming(self._balancer.name, self._host, self._tls_name)
        probe = make_probe(self._check, naming)
        return keep_checking(self._balancer, probe, self._check, start)

    def close(self) -> None:
        """Stop them for good; what they said counts no more."""
        self._is_closed = True
        if self._check is not None:
            self._balancer.findings.close()
        self._stop_thread()

    def _forget(self) -> None:
        findings = self._balancer.findings
        findings.unchecked(findings.states)

    def _stop_thread(self) -> None:
        with self._lock:
            job, self._job = self._job, None
        if job is not None:
            from lbtransport._background import background  # noqa: PLC0415 - as above

            background.stop(job)

    def abandon(self) -> None:
        """Have them stopped, from a finaliser: takes no lock and waits for nothing."""
        self._is_closed = True
        job = self._job
        if job is not None:
            from lbtransport._background import background  # noqa: PLC0415 - as above

            background.ask_to_stop(job)

    @asynccontextmanager
    async def background(self) -> AsyncIterator[None]:
        """Run them in the caller's own loop inside the block, and never in the thread.

        Raises:
            RuntimeError: If they run in such a block already.
        """
        if self._check is None or self._is_closed:
            yield
            return
        from lbtransport._background import in_own_loop  # noqa: PLC0415 - as above

        with self._lock:
            if self._is_running:
                raise RuntimeError(
                    f"the checks of {self._balancer.name!r} run in another "
                    f"background() already; leave that one first"
                )
            self._is_running = self._is_manual = True
        self._stop_thread()
        try:
            async with in_own_loop(self._work):
                yield
        finally:
            self._is_running = False
            self._forget()

    def reset_after_fork(self) -> None:
        """Begin anew in the child, at its first use."""
        self._is_running = False
        if self._is_manual:
            self._forget()  # nobody checks here who could find out otherwise
        self._reset()
