"""The rules that every exchange keeps, whatever happens."""

from __future__ import annotations

from collections.abc import Callable

import tenacity
from hypothesis import given
from hypothesis import strategies as st

from lbtransport import RetryPolicy
from lbtransport._candidates import is_usable
from lbtransport.retry import Retry
from tests.core_kit import URLS, Fate, Reply, eject, in_flight, make_service
from tests.exchange.kit import IF_503, Client, refused, reset, timed_out

FATES: dict[str, Callable[[], Fate]] = {
    "200": lambda: 200,
    "404": lambda: 404,
    "500": lambda: 500,
    "502": lambda: 502,
    "503": lambda: 503,
    "throttled": lambda: Reply(503, retry_after=0.5),
    "throttled for long": lambda: Reply(429, retry_after=30.0),
    "refused": refused,
    "reset": reset,
    "timeout": timed_out,
    "bug": lambda: ValueError("bug"),
    "interrupt": KeyboardInterrupt,
}
some_fates = st.lists(st.sampled_from(sorted(FATES)), max_size=8)


@given(
    names=some_fates,
    backends=st.integers(1, 4),
    method=st.sampled_from(["GET", "POST"]),
    attempts=st.integers(1, 8),
    deadline=st.none() | st.floats(0.01, 60),
    is_own=st.booleans(),
    max_in_flight=st.none() | st.just(1),
    sick=st.sets(st.sampled_from(URLS), max_size=3),
)
def test_every_exchange_keeps_the_rules(  # noqa: PLR0917 - as Hypothesis draws them
    names: list[str],
    backends: int,
    method: str,
    attempts: int,
    deadline: float | None,
    is_own: bool,
    max_in_flight: int | None,
    sick: set[str],
) -> None:
    service = make_service(URLS[:backends], max_in_flight=max_in_flight)
    for url in sick & set(URLS[: backends - 1]):
        eject(service, url)
    tried: set[str] = set()
    left = [FATES[name]() for name in names]

    def fate(url: str) -> Fate:
        now = service.core.clock.monotonic()
        untried = {
            state.backend.url
            for state in service.core._roster.table
            if state.backend.url not in tried and is_usable(state, now)
        }
        assert url not in tried or not untried
        tried.add(url)
        return left.pop(0) if left else 200

    client = Client(service=service, by_backend=fate, latency=0.01)
    retry: Retry = RetryPolicy(attempts=attempts)
    if is_own:
        retry = tenacity.Retrying(
            stop=tenacity.stop_after_attempt(attempts),
            retry=IF_503,
            wait=tenacity.wait_fixed(0.1),
        )

    try:
        reply = client.ask(method, retry=retry, deadline=deadline)
    except (OSError, ValueError, KeyboardInterrupt):
        assert client.closed == [1] * len(client.closed)
    else:
        assert reply is client.script.replies[-1]
        assert client.closed == [1] * (len(client.closed) - 1) + [0]
    assert in_flight(service) == 0
    assert 1 <= len(client.script.sent_to) <= attempts
    if deadline is not None:
        assert sum(client.script.sleeps) <= deadline


@given(attempts=st.integers(1, 9), backends=st.integers(1, 4))
def test_between_two_tries_of_one_backend_there_is_a_wait(
    attempts: int, backends: int
) -> None:
    service = make_service(URLS[:backends])
    client = Client(by_backend=lambda url: 503, service=service)

    client.ask(retry=RetryPolicy(attempts=attempts))

    since_the_last_wait: list[str] = []
    for entry in client.script.trace:
        if entry == "sleep":
            since_the_last_wait = []
        elif entry.startswith("send"):
            assert entry not in since_the_last_wait
            since_the_last_wait.append(entry)
