"""Limits: what a thread may wait for, all in all."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from lbtransport._limits import Limit, is_limited, limit, shorter


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def test_without_a_limit_timeouts_are_as_given() -> None:
    assert not is_limited()
    assert [shorter(None), shorter(5.0)] == [None, 5.0]


def test_limit_shortens_what_is_longer() -> None:
    with Limit(60) as allowed:
        assert is_limited()
        assert shorter(1.0) == 1.0
        assert 0 < (shorter(None) or 0) <= 60
        assert 0 < (shorter(100.0) or 0) <= 60
        assert not allowed.is_over

    assert not is_limited()


@pytest.mark.parametrize("seconds", [0.0, -1.0])
def test_timeout_is_never_zero(seconds: float) -> None:
    with Limit(seconds) as allowed:
        assert (shorter(None) or 0) > 0
        assert allowed.is_over


def test_inside_another_limit_the_earlier_end_counts() -> None:
    with Limit(1):
        with Limit(60):
            assert (shorter(None) or 0) <= 1
        with Limit(0):
            assert (shorter(None) or 0) < 0.1
        assert (shorter(None) or 0) > 0.1


def test_limit_is_its_threads_alone() -> None:
    found: list[bool] = []
    with Limit(60):
        other = threading.Thread(target=lambda: found.append(is_limited()))
        other.start()
        other.join()

    assert found == [False]


def test_socket_keeps_to_the_limit_of_its_thread_and_to_its_own(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    ours, theirs = pair
    limit(ours)
    ours.settimeout(60)

    with Limit(0.01), pytest.raises(TimeoutError):
        ours.recv_into(bytearray(1))
    with Limit(0.01), pytest.raises(TimeoutError):
        ours.sendall(bytes(10_000_000))

    assert ours.gettimeout() == 60
    theirs.sendall(b"x")
    assert ours.recv_into(bytearray(1)) == 1


def test_socket_of_another_kind_is_given_what_is_left() -> None:
    class Foreign:
        timeout: float | None = 60.0

        def gettimeout(self) -> float | None:
            return self.timeout

        def settimeout(self, timeout: float | None) -> None:
            self.timeout = timeout

    foreign = Foreign()
    with Limit(1):
        limit(foreign)
        limit(None)

    assert foreign.timeout is not None
    assert foreign.timeout <= 1
