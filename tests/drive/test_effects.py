"""What a generator asks for, and what each driver gives back."""

from __future__ import annotations

from typing import Any

import pytest
import tenacity

from lbtransport._effects import (
    Call,
    Close,
    Effect,
    Send,
    Sleep,
    Vet,
    Wait,
)
from lbtransport._types import Signal
from tests.core_kit import A, Reply
from tests.drive.kit import (
    BACKEND,
    DRIVERS,
    PATIENCE,
    Steps,
    Trace,
    ask_for,
    every_driver,
    interrupt,
)


def given_signal() -> Signal:
    signal = Signal()
    signal.set()
    return signal


def fail() -> Any:
    raise ZeroDivisionError


SCRIPTS: dict[str, tuple[Effect, object]] = {
    "send": (Send(BACKEND, 1.5), (A, 1.5)),
    "send without a timeout": (Send(BACKEND, None), (A, None)),
    "close": (Close(Reply()), None),
    "sleep": (Sleep(0.0), None),
    "wait for what was": (Wait(given_signal(), PATIENCE), True),
    "wait for ever for what was": (Wait(given_signal(), None), True),
    "wait in vain": (Wait(Signal(), 0.0), False),
    "call": (Call(pow, (2, 5)), 32),
    "call without arguments": (Call(dict), {}),
    "vet": (Vet(tenacity.Retrying()), None),
    "call that fails": (Call(fail), "ZeroDivisionError"),
    "call that is interrupted": (Call(interrupt), "KeyboardInterrupt"),
}


@every_driver
@pytest.mark.parametrize("script", SCRIPTS)
def test_effect_comes_to_the_same_everywhere(driver: str, script: str) -> None:
    effect, result = SCRIPTS[script]

    end, trace = DRIVERS[driver](lambda trace: ask_for(effect, trace=trace), None)

    assert end == "the end"
    assert trace == [(type(effect).__name__, result)]


@every_driver
def test_script_of_everything_gives_the_same_trace(driver: str) -> None:
    effects = [effect for effect, _ in SCRIPTS.values()]

    end, trace = DRIVERS[driver](lambda trace: ask_for(*effects, trace=trace), None)

    assert end == "the end"
    assert trace == [(type(e).__name__, result) for e, result in SCRIPTS.values()]


@every_driver
@pytest.mark.parametrize(
    "error",
    [ConnectionRefusedError(), ValueError(), KeyboardInterrupt(), SystemExit()],
    ids=lambda error: type(error).__name__,
)
def test_what_a_courier_raises_is_thrown_in(driver: str, error: BaseException) -> None:
    reply = Reply()

    end, trace = DRIVERS[driver](
        lambda trace: ask_for(Send(BACKEND, None), Close(reply), trace=trace), error
    )

    assert end == "the end"
    assert trace == [("Send", type(error).__name__), ("Close", type(error).__name__)]
    assert reply.closed == 0


@every_driver
def test_discarded_response_is_closed(driver: str) -> None:
    reply = Reply()

    DRIVERS[driver](lambda trace: ask_for(Close(reply), trace=trace), None)

    assert reply.closed == 1


def raise_at_once(error: BaseException) -> Steps:
    yield Call(dict)
    raise error


@every_driver
@pytest.mark.parametrize("error", [ValueError("bug"), KeyboardInterrupt()])
def test_what_the_generator_raises_leaves_the_driver(
    driver: str, error: BaseException
) -> None:
    with pytest.raises(type(error)) as caught:
        DRIVERS[driver](lambda trace: raise_at_once(error), None)

    assert caught.value is error


def return_at_once() -> Steps:
    yield from ()
    return 42


@every_driver
def test_generator_that_asks_for_nothing_is_at_its_end(driver: str) -> None:
    end, _ = DRIVERS[driver](lambda trace: return_at_once(), None)

    assert end == 42


def recover(trace: Trace) -> Steps:
    try:
        yield Call(fail)
    except ZeroDivisionError:
        recovered = yield Call(pow, (2, 2))
        return recovered
    raise AssertionError


@every_driver
def test_generator_may_go_on_after_an_error(driver: str) -> None:
    end, _ = DRIVERS[driver](recover, None)

    assert end == 4
