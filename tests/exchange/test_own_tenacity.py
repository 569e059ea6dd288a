"""A user's own tenacity object decides, waits and is told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import tenacity
from tenacity.wait import wait_base

from tests.core_kit import A, B, Fate, Reply, in_flight, make_service
from tests.exchange.kit import IF_503, INTERRUPTS, Client, refused, reset


class Diary:
    """A tenacity object's callbacks, noting the attempt and what it came to."""

    def __init__(self) -> None:
        self.entries: list[tuple[str, int, object]] = []

    def note(self, what: str) -> Callable[[tenacity.RetryCallState], None]:
        def callback(state: tenacity.RetryCallState) -> None:
            outcome: object = None
            if state.outcome is not None:
                error = state.outcome.exception()
                outcome = type(error) if error else state.outcome.result().status
            self.entries.append((what, state.attempt_number, outcome))

        return callback

    def retrying(self, **options: Any) -> tenacity.Retrying:
        callbacks = {
            what: self.note(what) for what in ("before", "after", "before_sleep")
        }
        defaults: dict[str, Any] = {"stop": tenacity.stop_after_attempt(3), **callbacks}
        return tenacity.Retrying(**{**defaults, **options})


def test_own_object_sees_true_attempts() -> None:
    diary = Diary()
    client = Client(refused(), 503, 200)

    client.ask(retry=diary.retrying(retry=IF_503))

    assert diary.entries == [
        ("before", 1, None),
        ("after", 1, ConnectionRefusedError),
        ("before_sleep", 1, ConnectionRefusedError),
        ("before", 2, None),
        ("after", 2, 503),
        ("before_sleep", 2, 503),
        ("before", 3, None),
    ]


def test_own_object_sees_the_only_attempt() -> None:
    diary = Diary()

    Client(200).ask(retry=diary.retrying())

    assert diary.entries == [("before", 1, None)]


def test_own_object_that_gives_up_leaves_the_last_answer() -> None:
    client = Client(by_backend=lambda url: 503)

    reply = client.ask(retry=Diary().retrying(retry=IF_503))

    assert reply is client.script.replies[2]
    assert client.closed == [1, 1, 0]


@pytest.mark.parametrize("reraise", [True, False])
def test_own_object_that_gives_up_leaves_the_last_error(reraise: bool) -> None:
    last = refused()
    client = Client(refused(), refused(), last)

    assert client.fail(OSError, retry=Diary().retrying(reraise=reraise)) is last


def test_own_predicate_on_results_decides() -> None:
    client = Client(404, 418, 200)
    teapots = tenacity.retry_if_result(lambda reply: reply.status in {404, 418})

    assert client.ask(retry=Diary().retrying(retry=teapots)).status == 200

    assert client.closed == [1, 1, 0]


def test_own_predicate_on_errors_decides() -> None:
    client = Client(refused())
    never = tenacity.retry_if_exception_type(KeyError)

    client.fail(ConnectionRefusedError, retry=Diary().retrying(retry=never))

    assert len(client.script.sent_to) == 1


def test_own_predicate_that_is_content_with_a_503_gets_it() -> None:
    client = Client(503)

    assert client.ask(retry=Diary().retrying()).status == 503


def test_own_callback_at_the_end_gives_the_answer() -> None:
    client = Client(by_backend=lambda url: 503)
    fallback = Reply(203)
    own = Diary().retrying(retry=IF_503, retry_error_callback=lambda state: fallback)

    assert client.ask(retry=own) is fallback

    assert client.closed == [1, 1, 1]
    assert in_flight(client.service) == 0


def test_own_callback_at_the_end_may_answer_for_an_error() -> None:
    client = Client(by_backend=lambda url: refused())
    fallback = Reply(203)
    own = Diary().retrying(retry_error_callback=lambda state: fallback)

    assert client.ask(retry=own) is fallback
    assert in_flight(client.service) == 0


@pytest.mark.parametrize(
    "where", ["retry", "after", "wait", "stop", "before_sleep", "retry_error_callback"]
)
def test_own_callback_that_raises_leaves_nothing_open(where: str) -> None:
    def fail(state: tenacity.RetryCallState) -> Any:
        raise RuntimeError("a bug of the user's")

    options: dict[str, Any] = {"retry": IF_503, where: fail}
    if where == "retry_error_callback":
        options["stop"] = tenacity.stop_after_attempt(1)
    client = Client(503)

    client.fail(RuntimeError, retry=Diary().retrying(**options))

    assert in_flight(client.service) == 0
    assert client.closed == [1]


def test_own_callback_before_the_first_attempt_may_raise() -> None:
    def fail(state: tenacity.RetryCallState) -> Any:
        raise RuntimeError("a bug of the user's")

    client = Client()

    client.fail(RuntimeError, retry=Diary().retrying(before=fail))

    assert client.script.sent_to == []
    assert in_flight(client.service) == 0


def test_own_wait_is_slept() -> None:
    client = Client(refused(), refused())

    client.ask(retry=Diary().retrying(wait=tenacity.wait_fixed(3)))

    assert client.script.sleeps == [3.0, 3.0]


def test_own_sleep_does_the_waiting() -> None:
    client, slept = Client(refused()), list[float]()
    own = Diary().retrying(wait=tenacity.wait_fixed(3), sleep=slept.append)

    client.ask(retry=own)

    assert slept == [3.0]
    assert client.script.sleeps == []


def test_own_sleep_is_called_for_no_seconds_too() -> None:
    client, slept = Client(refused()), list[float]()

    client.ask(retry=Diary().retrying(sleep=slept.append))

    assert slept == [0.0]


def test_own_wait_does_not_go_past_the_deadline() -> None:
    client = Client(by_backend=lambda url: refused(), latency=0.1)
    own = Diary().retrying(wait=tenacity.wait_fixed(10))

    client.fail(ConnectionRefusedError, retry=own, deadline=1.0)

    assert client.script.sleeps == []
    assert len(client.script.sent_to) == 1


def test_own_wait_and_stop_may_ask_how_the_exchange_stands() -> None:
    seen = []

    class Asking(wait_base):
        def __call__(self, state: tenacity.RetryCallState) -> float:
            seen.append(state.args[0].has_untried)
            return 0.0

    client = Client(refused(), refused(), service=make_service([A, B]))

    client.ask(retry=Diary().retrying(wait=Asking()))

    assert seen == [True, False]


@pytest.mark.parametrize("fate", [reset(), 502, 503, 504], ids=str)
def test_own_object_does_not_repeat_a_post_that_may_have_been_processed(
    fate: Fate,
) -> None:
    client = Client(fate)
    always = tenacity.retry_always

    if isinstance(fate, int):
        assert client.ask("POST", retry=Diary().retrying(retry=always)).status == fate
    else:
        client.fail(OSError, "POST", retry=Diary().retrying(retry=always))

    assert len(client.script.sent_to) == 1


def test_own_object_repeats_a_post_that_was_never_sent() -> None:
    client = Client(refused())

    assert client.ask("POST", retry=Diary().retrying()).status == 200


@pytest.mark.parametrize("interrupt", INTERRUPTS, ids=lambda e: type(e).__name__)
def test_own_predicate_never_sees_an_interrupt(interrupt: BaseException) -> None:
    client = Client(interrupt)
    diary = Diary()
    greedy = tenacity.retry_if_exception(lambda error: True)

    client.fail(type(interrupt), retry=diary.retrying(retry=greedy))

    assert diary.entries == [("before", 1, None)]
    assert in_flight(client.service) == 0
