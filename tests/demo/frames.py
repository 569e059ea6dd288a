"""Frames and summaries ready made."""

from __future__ import annotations

from collections import Counter

from lbtransport._demo.frame import ClientRow, Frame, ServerRow
from lbtransport._demo.journal import Kind, Line
from lbtransport._demo.summary import Summary
from lbtransport._demo.tally import Count, Phase


def make_frame(elapsed: float = 4.2, *, errors: int = 0, retries: int = 6) -> Frame:
    return Frame(
        elapsed=elapsed,
        seconds=10,
        headline="b is dead and ejected.",
        since=3.05,
        rate=148.4,
        retries=retries,
        servers=[
            ServerRow("a", "", "in rotation", True, 0.85, 0.0042, 1, 210),
            ServerRow("b", "", "ejected, trial in 1.2 s", False, 0.0, None, 0, 80),
            ServerRow("d", "slow", "in rotation", True, 0.15, 0.0612, 2, 30),
        ],
        clients=[
            ClientRow("requests", "3 threads", 160, 0),
            ClientRow("httpx", "3 threads", 160, errors),
        ],
        lines=[
            Line(3.0, Kind.TOLD, "killing server b"),
            Line(3.1, Kind.EJECTED, "b is ejected: out for 1.1 s"),
        ],
    )


def make_summary(
    *,
    answers: tuple[int, int] = (60, 40),
    after: int = 10,
    returns: int = 1,
    messages: dict[str, int] | None = None,
) -> Summary:
    errors = Counter(messages or {})
    return Summary(
        seconds=10.4,
        clients=("requests", "httpx"),
        servers=("a", "b"),
        victim="b",
        count=Count(
            answers=Counter(requests=answers[0], httpx=answers[1]),
            errors=Counter(requests=errors.total()),
            servers=Counter(a=70, b=20 + after),
            phases=Counter(
                {
                    (Phase.BEFORE, "a"): 20,
                    (Phase.BEFORE, "b"): 20,
                    (Phase.DURING, "a"): 20,
                    (Phase.AFTER, "a"): 30,
                    (Phase.AFTER, "b"): after,
                }
            ),
            messages=errors,
        ),
        retries=6,
        ejections=2,
        returns=returns,
    )
