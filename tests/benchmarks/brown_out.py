"""How long a fleet takes to recover from a brown-out, for each strategy.

Eight servers of four slots at 70 % load, all twice as slow for 10 s; callers give up
after 0.5, 1 or 2 s, three attempts, ejection on; and the servers work off what was
given up.
The table has the seconds from the end of it to the first second without an error, the
worst of the seeds.

    python tests/benchmarks/brown_out.py adaptive round_robin --seed 0 1 2

About three seconds for each strategy and seed.
"""

from __future__ import annotations

import argparse

from lbtransport import RetryPolicy
from lbtransport.strategies import STRATEGIES
from lbtransport.testing import simulate
from lbtransport.testing.scenarios import brown_out

_TIMEOUTS = (0.5, 1.0, 2.0)
_ENDS_AT = 20.0


def recovery(strategy: str, timeout: float, seed: int) -> float:
    """Return the seconds from the end of the brown-out to the first clean one."""
    result = simulate(
        brown_out(timeout=timeout),
        strategy,
        seed=seed,
        retry=RetryPolicy(),
        keys=lambda rng: rng.random(),
    )
    return result.clean_since(_ENDS_AT) - _ENDS_AT


def main() -> None:
    """Print the table, a line for each strategy as soon as it is known."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("strategy", nargs="*", default=sorted(STRATEGIES))
    parser.add_argument("--seed", type=int, nargs="+", default=[0, 1, 2])
    arguments = parser.parse_args()
    columns = "".join(f" {timeout:>5} s" for timeout in _TIMEOUTS)
    print(f"{'timeout':28}{columns}   limit")
    for strategy in arguments.strategy:
        worst = [
            max(recovery(strategy, timeout, seed) for seed in arguments.seed)
            for timeout in _TIMEOUTS
        ]
        limit = 10 if strategy == "adaptive" else 15
        verdict = "passed" if max(worst) < limit else "failed"
        cells = "".join(f" {seconds:>7.0f}" for seconds in worst)
        print(f"{strategy:28}{cells}   {limit} s: {verdict}", flush=True)


if __name__ == "__main__":
    main()
