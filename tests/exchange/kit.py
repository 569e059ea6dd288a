"""What the tests of the exchange share: a client with a script, and failures."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Generator
from typing import Any

import pytest
import tenacity

from lbtransport import LoadBalancer, Selection
from lbtransport._clock import ManualClock
from lbtransport._effects import Effect
from lbtransport._exchange import exchange
from lbtransport.retry import Retry, make_plan
from tests.core_kit import Fate, Job, Reply, Script, make_service


def refused() -> Exception:
    return ConnectionRefusedError("refused")


def reset() -> Exception:
    return ConnectionResetError("reset")


def distrusted() -> Exception:
    return ssl.SSLCertVerificationError(1, "certificate verify failed")


def timed_out() -> Exception:
    return TimeoutError("timed out")


class Client:
    """Sends requests through a service by a script.

    Attributes:
        service: Of three backends.
        script: What happened.
    """

    def __init__(
        self,
        *fates: Fate,
        service: LoadBalancer | None = None,
        by_backend: Callable[[str], Fate] | None = None,
        latency: float = 0.0,
    ) -> None:
        self.service = service or make_service()
        clock = self.service.core.clock
        assert isinstance(clock, ManualClock)
        self.script = Script(clock, by_backend or list(fates), latency)

    def steps(
        self, method: str = "GET", *, retry: Retry = None, **job: Any
    ) -> Generator[Effect, Any, tuple[Any, Selection]]:
        return exchange(self.service.core, make_plan(retry), Job(method, **job))

    def ask(self, method: str = "GET", *, retry: Retry = None, **job: Any) -> Reply:
        """Run one exchange; read the response to its end."""
        response, selection = self.script.run(self.steps(method, retry=retry, **job))
        selection.release()
        reply: Reply = response
        return reply

    def fail(self, kind: type[BaseException], *arguments: str, **job: Any) -> Any:
        """Run one exchange that must raise; return the error."""
        with pytest.raises(kind) as caught:
            self.ask(*arguments, **job)
        return caught.value

    @property
    def statuses(self) -> list[int]:
        return [reply.status for reply in self.script.replies]

    @property
    def closed(self) -> list[int]:
        return [reply.closed for reply in self.script.replies]


INTERRUPTS = [KeyboardInterrupt(), SystemExit(), asyncio.CancelledError()]


def is_503(reply: Reply) -> bool:
    return reply.status == 503


IF_503 = tenacity.retry_if_result(is_503) | tenacity.retry_if_exception_type()
