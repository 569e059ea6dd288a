from __future__ import annotations

import sys

import pytest

from lbtransport._simulate.table import as_text, columns, header, shares, show
from lbtransport.testing import Result, Scenario, Server, Window


def make_result(
    strategy: str = "random",
    *,
    servers: int = 2,
    clients: int = 1,
    attempts: int = 100,
    latencies: tuple[float, ...] = (0.05,) * 99,
) -> Result:
    scenario = Scenario(servers=[Server()] * servers, rate=20.0, clients=clients)
    sent = (attempts - attempts // 4, *[attempts // 4], *[0] * (servers - 2))
    window = Window(10.0, sent, latencies, 1)
    return Result(scenario, strategy, 7, latencies, {"connect": 1}, [window])


def test_header_says_what_was_simulated() -> None:
    assert header(make_result(clients=3)).splitlines() == [
        "2 servers, 3 clients, 20 requests/s, seed 7",
        "100 requests, measured from 10 s to 70 s of simulated time",
    ]
    assert "1 client," in header(make_result())


def test_table_has_a_line_for_each_strategy() -> None:
    text = as_text(columns([make_result(), make_result("round_robin")], None))

    assert text.splitlines() == [
        "strategy     p50  p99  p99.9 ms  errors  shares of the servers, %",
        "random        50   50        50   1.00%  75.0 25.0",
        "round_robin   50   50        50   1.00%  75.0 25.0",
    ]


def test_without_successes_there_are_no_percentiles() -> None:
    text = as_text(columns([make_result(latencies=())], None))

    assert text.splitlines()[1].split()[:5] == ["random", "-", "-", "-", "100.00%"]


def test_attempts_are_shown_if_there_were_retries() -> None:
    titles = [title for title, *_ in columns([make_result(attempts=120)], None)]

    assert "attempts" in titles


def test_scores_are_shown_if_there_is_an_oracle() -> None:
    oracle = make_result("sed_oracle", latencies=(0.025,) * 100)

    table = columns([make_result(), oracle], oracle)

    assert ["score", "2.20", "1.20"] in table  # the oracle has an error too


def test_of_many_servers_the_range_of_shares_is_shown() -> None:
    assert shares(make_result(servers=13)) == "0.0 to 75.0"


@pytest.mark.parametrize("is_terminal", [True, False])
@pytest.mark.parametrize("plain", [True, False])
def test_table_is_the_same_with_rich_and_without(
    is_terminal: bool,
    plain: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: is_terminal)
    monkeypatch.setenv("COLUMNS", "100")

    show([make_result(), make_result("round_robin")], None, plain=plain)

    shown = capsys.readouterr().out
    assert "2 servers, 1 client" in shown
    words = [line.split() for line in shown.splitlines()]
    assert ["round_robin", "50", "50", "50", "1.00%", "75.0", "25.0"] in words
    assert ("─" in shown) == (is_terminal and not plain)


def test_table_is_text_without_rich(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setitem(sys.modules, "rich", None)

    show([make_result()], None, plain=False)

    assert "random     50" in capsys.readouterr().out
