from __future__ import annotations

import dataclasses
import io

import pytest
from rich.console import Console

from lbtransport._demo.frame import Frame
from lbtransport._demo.journal import Kind, Line
from lbtransport._demo.screen import Screen
from tests.demo.frames import make_frame, make_summary


def make_console(width: int = 80, height: int = 24) -> Console:
    return Console(
        file=io.StringIO(),
        width=width,
        height=height,
        force_terminal=True,
        color_system="truecolor",
        record=True,
        legacy_windows=False,
    )


def draw(frame: Frame, console: Console) -> list[str]:
    screen = Screen(console)
    screen.show(frame)
    console.print(screen.picture(frame))
    return console.export_text().splitlines()


def with_four_servers(frame: Frame) -> Frame:
    return dataclasses.replace(frame, servers=[*frame.servers, frame.servers[0]])


def test_picture_fits_into_the_smallest_usual_terminal() -> None:
    frame = with_four_servers(make_frame())
    three = dataclasses.replace(frame, clients=[*frame.clients, frame.clients[0]])

    lines = draw(three, make_console(80, 24))

    assert len(lines) < 24
    assert max(map(len, lines)) <= 80


def test_picture_shows_each_server() -> None:
    lines = draw(make_frame(), make_console())

    (a,) = [line for line in lines if line.startswith("a ")]
    (b,) = [line for line in lines if line.startswith("b  ")]
    assert a.split()[1:3] == ["in", "rotation"]
    assert a.split()[-5:] == ["85%", "4.2", "ms", "1", "210"]
    assert "ejected, trial in 1.2 s" in b
    assert any(line.startswith("d  slow") for line in lines)


def test_picture_shows_clients_totals_and_journal() -> None:
    text = "\n".join(draw(make_frame(errors=2), make_console()))

    assert "b is dead and ejected." in text
    assert "3 threads" in text
    assert "on another server: 6.  Errors that callers saw: 2" in text
    assert "  3.1 s  b is ejected: out for 1.1 s" in text


@pytest.mark.parametrize(("height", "room"), [(10, 4), (24, 4), (28, 8), (99, 10)])
def test_journal_has_the_room_that_the_terminal_leaves(height: int, room: int) -> None:
    lines = [Line(number, Kind.TOLD, f"line {number}") for number in range(99)]
    frame = dataclasses.replace(make_frame(), lines=lines)

    drawn = draw(frame, make_console(80, height))

    assert sum("line " in line for line in drawn) == room


def test_picture_has_the_same_height_with_and_without_a_journal() -> None:
    silent = dataclasses.replace(make_frame(), lines=[])

    assert len(draw(silent, make_console())) == len(draw(make_frame(), make_console()))


def test_live_picture_is_drawn_and_the_summary_comes_below() -> None:
    console = make_console()
    screen = Screen(console)

    with screen:
        screen.show(make_frame(0.0))
        screen.show(make_frame(12.0))
    screen.finish(make_summary())

    text = console.export_text()
    assert "0 of 10 s" in text
    assert "10 of 10 s" in text
    assert text.endswith("Errors that callers saw: 0\n")


def test_server_that_never_answered_has_no_latency() -> None:
    frame = make_frame()
    fresh = dataclasses.replace(frame.servers[0], latency=None)

    lines = draw(dataclasses.replace(frame, servers=[fresh]), make_console())

    (a,) = [line for line in lines if line.startswith("a ")]
    assert "ms" not in a
