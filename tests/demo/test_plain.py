from __future__ import annotations

import dataclasses
import io

import pytest
from rich.console import Console

from lbtransport._demo.plain import Plain
from tests.demo.frames import make_frame, make_summary


@pytest.fixture
def out() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def plain(out: io.StringIO) -> Plain:
    return Plain(Console(file=out, width=110, color_system=None))


def test_figures_tell_of_each_server(plain: Plain, out: io.StringIO) -> None:
    plain.show(make_frame())

    *_, figures = out.getvalue().splitlines()
    assert figures == (
        "  4.2 s  a  85%   4 ms 1 | b ejected, trial in 1.2 s | d  15%  61 ms 2"
        " | 148/s, 6 retries, 0 errors"
    )


def test_figures_come_once_a_second(plain: Plain, out: io.StringIO) -> None:
    for elapsed in (0.5, 1.0, 1.5, 1.9, 2.0):
        plain.show(make_frame(elapsed))

    shown = [line for line in out.getvalue().splitlines() if "retries" in line]
    assert [line[:7] for line in shown] == ["  1.0 s", "  2.0 s"]


def test_headline_is_told_when_it_changes(plain: Plain, out: io.StringIO) -> None:
    frame = make_frame(3.2)
    plain.show(frame)
    plain.show(frame)
    plain.show(dataclasses.replace(frame, headline="b is back.", since=6.4))

    headlines = [line for line in out.getvalue().splitlines() if ">>" in line]
    assert headlines == ["  3.0 s  >> b is dead and ejected.", "  6.4 s  >> b is back."]


def test_headline_and_journal_are_told_in_the_order_of_time(
    plain: Plain, out: io.StringIO
) -> None:
    plain.show(make_frame())

    assert [line[:17] for line in out.getvalue().splitlines()[:3]] == [
        "  3.0 s     killi",
        "  3.0 s  >> b is ",
        "  3.1 s     b is ",
    ]


def test_journal_is_told_at_once(plain: Plain, out: io.StringIO) -> None:
    plain.show(make_frame(0.5))

    assert "  3.1 s     b is ejected: out for 1.1 s\n" in out.getvalue()


def test_server_that_never_answered_has_no_latency(
    plain: Plain, out: io.StringIO
) -> None:
    frame = make_frame()
    fresh = dataclasses.replace(frame.servers[0], latency=None)

    plain.show(dataclasses.replace(frame, servers=[fresh]))

    assert "a  85%     - 1 |" in out.getvalue()


def test_beginning_explains_and_end_sums_up(plain: Plain, out: io.StringIO) -> None:
    with plain:
        assert "loopback" in out.getvalue()
    plain.finish(make_summary())

    assert out.getvalue().endswith("Errors that callers saw: 0\n")
    assert "\x1b" not in out.getvalue()
