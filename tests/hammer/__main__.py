"""Hammer one balancer from threads, asyncio and trio, while its servers die.

    python -m tests.hammer [--seconds 60] [--seed 7]

Exits with 1 if a GET failed, or if anything was left.
"""

from __future__ import annotations

import argparse
import faulthandler
import sys
import traceback
import warnings

from tests.hammer.crowd import Size
from tests.hammer.run import Report, hammer

_SHOWN = 5  # errors in full


def show(report: Report) -> None:
    """Print a report."""
    print(f"{sum(report.visits.values())} visits in {report.seconds:.0f} s")
    for (client, result), count in sorted(report.visits.items()):
        print(f"  {client:16} {result:16} {count:7}")
    print("troubles")
    for trouble, count in sorted(report.troubles.items()):
        print(f"  {trouble:33} {count:7}")
    for error in report.errors[:_SHOWN]:
        traceback.print_exception(error, file=sys.stdout)
    print(f"{len(report.errors)} errors; left: {', '.join(report.left) or 'nothing'}")


def main() -> int:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=7)
    arguments = parser.parse_args()
    # As in the test: what is left to the collector is closed by it.
    warnings.simplefilter("ignore", ResourceWarning)
    faulthandler.dump_traceback_later(arguments.seconds + 150, exit=True)
    report = hammer(Size(), seconds=arguments.seconds, seed=arguments.seed)
    faulthandler.cancel_dump_traceback_later()
    show(report)
    return 0 if report.is_well else 1


if __name__ == "__main__":
    sys.exit(main())
