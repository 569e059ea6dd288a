"""How good strategies are: their scores in the scenarios, beside those of an oracle.

1 is as good as the shortest expected delay with the true queues, speeds and faults;
half of a score is the mean, half the 99th percentile of the successes, both relative to
the oracle's, and each percent of errors adds 0.2.

    python tests/benchmarks/strategies.py adaptive round_robin --clients 1 10 100
    python tests/benchmarks/strategies.py adaptive --scenario "black hole" --details

About a minute for each strategy with three numbers of clients.
Ejection is off unless `--eject` says otherwise: it would hide what a strategy learns by
itself.
The strategies that live on weights are told the true speeds, as of when the measurement
begins.

Compare the means with "All of them, in numbers" in `docs/explanation/strategies.md`:
a table of ours, and of the same ideas as textbooks have them.
From one seed to another means differ by a few hundredths, and where errors or timeouts
make most of a score, by some tenths.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean

from lbtransport import RetryPolicy
from lbtransport.strategies import STRATEGIES
from lbtransport.testing import Result, Scenario, simulate
from lbtransport.testing.faults import Slow
from lbtransport.testing.scenarios import SCENARIOS


def main() -> None:
    """Print the table, a line for each strategy and scenario as soon as it is known."""
    arguments = _parse()
    clients: Sequence[int] = arguments.clients
    columns = "".join(f" {number:>7}" for number in clients)
    print(f"{'':34}{columns} {'all':>7}   clients")
    scores: dict[str, list[list[float]]] = {name: [] for name in arguments.strategy}
    for scenario in arguments.scenario:
        oracles = [_run(arguments, scenario, n, "sed_oracle") for n in clients]
        for name in arguments.strategy:
            results = [_run(arguments, scenario, n, name) for n in clients]
            row = [
                fmean(map(Result.score, ours, best))
                for ours, best in zip(results, oracles, strict=True)
            ]
            scores[name].append(row)
            _print_row(f"{scenario:18} {name}", row)
            if arguments.details:
                _print_details(clients, results)
    if len(arguments.scenario) > 1:
        print()
        for name, rows in scores.items():
            row = [fmean(column) for column in zip(*rows, strict=True)]
            _print_row(f"{'mean':18} {name}", row)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("strategy", nargs="*", default=sorted(STRATEGIES))
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 10, 100])
    parser.add_argument("--seed", type=int, nargs="+", default=[1])
    parser.add_argument(
        "--scenario", nargs="+", choices=list(SCENARIOS), default=list(SCENARIOS)
    )
    parser.add_argument("--attempts", type=int, default=1)
    parser.add_argument("--eject", action="store_true", help="eject what fails")
    parser.add_argument(
        "--details", action="store_true", help="percentiles, errors and shares as well"
    )
    return parser.parse_args()


def _run(
    arguments: argparse.Namespace, scenario: str, clients: int, strategy: str
) -> list[Result]:
    """Return a result for each seed."""
    scene = SCENARIOS[scenario](clients)
    if strategy.startswith("weighted_"):
        scene = _told(scene)
    return [
        simulate(
            scene,
            strategy,
            seed=seed,
            health=arguments.eject,
            retry=RetryPolicy(attempts=arguments.attempts),
        )
        for seed in arguments.seed
    ]


def _told(scenario: Scenario) -> Scenario:
    """Return it with weights that say what each server can do as its warm-up ends."""
    speeds = [server.slots / server.slowness for server in scenario.servers]
    now = scenario.warmup
    for fault in scenario.faults:
        if isinstance(fault, Slow) and fault.begins_at <= now < fault.ends_at:
            speeds[fault.server] /= fault.slowness_at(now)
    servers = [
        replace(server, weight=speed)
        for server, speed in zip(scenario.servers, speeds, strict=True)
    ]
    return replace(scenario, servers=servers)


def _print_row(label: str, scores: Sequence[float]) -> None:
    cells = "".join(f" {score:7.2f}" for score in [*scores, fmean(scores)])
    print(f"{label:34}{cells}", flush=True)


def _print_details(clients: Sequence[int], results: Sequence[Sequence[Result]]) -> None:
    for number, (result, *_) in zip(clients, results, strict=True):
        shares = " ".join(f"{share:.1%}" for share in result.shares)
        print(
            f"    {number:4} clients: {result.p50 * 1000:.0f} / "
            f"{result.p99 * 1000:.0f} / {result.p999 * 1000:.0f} ms, "
            f"{result.error_ratio:.2%}, {result.attempts / result.requests:.3f} "
            f"attempts, {shares}"
        )


if __name__ == "__main__":
    main()
