"""A signal is heard once by everyone, early or late."""

from __future__ import annotations

from lbtransport._types import Signal


def test_listener_is_called_at_the_signal() -> None:
    signal, heard = Signal(), list[str]()
    signal.listen(lambda: heard.append("one"))
    signal.listen(lambda: heard.append("two"))
    assert heard == []

    signal.set()

    assert heard == ["one", "two"]


def test_signal_is_set_from_then_on() -> None:
    signal = Signal()
    before = signal.is_set

    signal.set()

    assert (before, signal.is_set) == (False, True)


def test_listener_is_called_once_however_often_the_signal_is_given() -> None:
    signal, heard = Signal(), list[str]()
    signal.listen(lambda: heard.append("one"))

    signal.set()
    signal.set()

    assert heard == ["one"]


def test_late_listener_is_called_at_once() -> None:
    signal, heard = Signal(), list[str]()
    signal.set()

    signal.listen(lambda: heard.append("late"))

    assert heard == ["late"]


def test_listener_may_listen_again() -> None:
    signal, heard = Signal(), list[str]()
    signal.listen(lambda: signal.listen(lambda: heard.append("inner")))

    signal.set()

    assert heard == ["inner"]
