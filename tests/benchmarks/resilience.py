"""What callers see while a server of eight falls ill, in full length.

    python -m tests.benchmarks.resilience --client requests --strategy round_robin

Fifty GETs a second.  The first server falls ill after 2 s; its share of the attempts is
taken from 2 to 12 s after that.  About two minutes for each client and strategy; the
suite runs the same, shorter, in `tests/resilience/`.
"""

from __future__ import annotations

import argparse
import sys

from lbtransport import HealthPolicy
from lbtransport.checks import TcpCheck
from tests.resilience.kit import (
    ILLNESSES,
    SEEN_BY_CALLERS,
    Report,
    fall_ill,
    flap,
    restart_all,
)

_RATE = 50.0
_MOST_ERRORS = 10
_MOST_SHARE = 0.02


def judge(illness: str, strategy: str, report: Report) -> bool:
    """Tell whether a server that fell ill harmed no more than it may."""
    if illness in SEEN_BY_CALLERS:
        if report.errors_until_ejection > _MOST_ERRORS:
            return False
    elif report.errors:
        return False
    # Whoever is slow and answers well is no matter of health, but of the strategy.
    is_for_strategy = illness == "20 times slower" and strategy != "adaptive"
    return is_for_strategy or report.share < _MOST_SHARE


def show(scenario: str, client: str, strategy: str, report: Report, ok: bool) -> None:
    longest = max((event.seconds for _, event in report.ejections), default=0.0)
    print(
        f"{scenario:16} {client:9} {strategy:12} {report.asked:5} "
        f"{len(report.errors):6} {report.errors_until_ejection:5} {report.share:6.1%} "
        f"{len(report.ejections):9} {longest:6.1f} s  {'passed' if ok else 'FAILED'}",
        flush=True,
    )
    if not ok:
        for _, error in report.errors[:3]:
            print(f"    {error}")


def main() -> int:
    """Print the table; 1 if something failed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--client", nargs="+", default=["requests", "httpx"])
    parser.add_argument("--strategy", nargs="+", default=["adaptive", "round_robin"])
    arguments = parser.parse_args()
    print(
        f"{'scenario':16} {'client':9} {'strategy':12} asked errors until  share "
        f"ejections longest"
    )
    cap = HealthPolicy().max_ejection_time
    verdicts = []
    for client in arguments.client:
        for strategy in arguments.strategy:
            for illness in ILLNESSES:
                report = fall_ill(
                    client, strategy, illness, rate=_RATE, before=2, until=2, seconds=10
                )
                verdicts.append(judge(illness, strategy, report))
                show(illness, client, strategy, report, verdicts[-1])
            report = flap(client, strategy, rate=_RATE, times=6, pause=1.0)
            longest = max((e.seconds for _, e in report.ejections), default=0.0)
            verdicts.append(not report.errors and longest <= cap)
            show("flapping", client, strategy, report, verdicts[-1])
            report = restart_all(client, strategy, rate=_RATE, pause=0.5)
            verdicts.append(not report.errors)
            show("rolling restart", client, strategy, report, verdicts[-1])
            report = restart_all(
                client, strategy, rate=_RATE, pause=0.5, checks=TcpCheck(interval=0.5)
            )
            verdicts.append(not report.errors)
            show("same, checked", client, strategy, report, verdicts[-1])
    return 0 if all(verdicts) else 1


if __name__ == "__main__":
    sys.exit(main())
