from __future__ import annotations

import io
import sys

import pytest

from lbtransport._demo import scenario
from lbtransport._demo.fleet import FleetError
from lbtransport._demo.plain import Plain
from lbtransport._demo.screen import Screen
from lbtransport._demo.summary import Summary
from tests.demo.frames import make_summary


class Output(io.TextIOWrapper):
    """What a program writes to, a terminal or not."""

    def __init__(self, *, is_terminal: bool, encoding: str = "utf-8") -> None:
        super().__init__(io.BytesIO(), encoding=encoding)
        self._is_terminal = is_terminal

    def isatty(self) -> bool:
        return self._is_terminal


@pytest.fixture(autouse=True)
def _usual_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")


@pytest.mark.parametrize(
    ("output", "plain", "kind"),
    [
        (Output(is_terminal=True), False, Screen),
        (Output(is_terminal=True), True, Plain),
        (Output(is_terminal=False), False, Plain),
        (Output(is_terminal=True, encoding="ascii"), False, Plain),
    ],
    ids=["terminal", "--plain", "pipe", "terminal that knows ASCII alone"],
)
def test_reporter_fits_where_the_output_goes(
    output: Output, plain: bool, kind: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdout", output)

    assert type(scenario.choose_reporter(plain=plain)) is kind


def test_forced_colors_do_not_make_a_pipe_a_terminal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setattr(sys, "stdout", Output(is_terminal=False))

    assert isinstance(scenario.choose_reporter(plain=False), Plain)


def test_dumb_terminal_gets_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setattr(sys, "stdout", Output(is_terminal=True))

    assert isinstance(scenario.choose_reporter(plain=False), Plain)


@pytest.mark.parametrize(
    ("summary", "code"), [(make_summary(), 0), (make_summary(returns=0), 1)]
)
def test_exit_code_is_zero_only_if_all_went_well(
    summary: Summary,
    code: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(scenario, "play", lambda seconds, reporter: summary)

    assert scenario.run_demo(seconds=2, plain=True) == code
    assert "Errors that callers saw: 0" in capsys.readouterr().out


def test_server_that_does_not_start_is_told_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def play(seconds: float, reporter: object) -> Summary:
        raise FleetError("server 'a' did not start")

    monkeypatch.setattr(scenario, "play", play)

    assert scenario.run_demo(seconds=2, plain=True) == 1
    assert capsys.readouterr().err == "server 'a' did not start\n"
