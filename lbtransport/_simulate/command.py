"""The command itself: simulates each strategy, and shows what came of it."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from random import Random

from lbtransport._errors import ConfigurationError
from lbtransport._simulate import table
from lbtransport._simulate.settings import Settings, read_settings
from lbtransport.retry import RetryPolicy
from lbtransport.testing import Result, simulate

_FORMATS = (".svg", ".png", ".pdf")
_MOST_WINDOWS = 200  # more are not told apart in a picture


def run_simulation(
    path: str | None, options: Mapping[str, object], *, plot: str | None, plain: bool
) -> None:
    """Simulate what a file and the options say, and show it.

    Args:
        path: A TOML file; None if there is none.
        options: Settings by name; None where nothing was given.
        plot: Where to draw a picture; None for none.
        plain: Whether to write lines of text even to a terminal.

    Raises:
        ConfigurationError: If something cannot be read or makes no sense.
    """
    settings = read_settings(path, options)
    if plot is not None:
        check_plot(plot)
    with _quiet():
        results = list(_simulate(settings))
    by_name = {result.strategy: result for result in results}
    table.show(results, by_name.get("sed_oracle"), plain=plain)
    if plot is not None:
        from lbtransport._simulate.plot import draw  # noqa: PLC0415 - needs the extra

        draw(results, plot)


def check_plot(plot: str) -> None:
    """Refuse, before anything is simulated, what a picture cannot be drawn to.

    Raises:
        ConfigurationError: If there is no such format or folder.
    """
    path = Path(plot)
    if path.suffix not in _FORMATS:
        raise ConfigurationError(
            f"plot={plot!r}: end it with one of: {', '.join(_FORMATS)}"
        )
    if not path.parent.is_dir():
        raise ConfigurationError(f"plot={plot!r}: there is no folder {path.parent}")


def _simulate(settings: Settings) -> Iterator[Result]:
    scenario, number = settings.scenario, settings.keys
    keys = None if number is None else lambda rng: _draw_key(rng, number)
    for done, strategy in enumerate(settings.strategies, 1):
        if sys.stderr.isatty():
            of = f"{done} of {len(settings.strategies)}"
            sys.stderr.write(f"\r\x1b[Ksimulating {strategy}, {of}")
            sys.stderr.flush()
        yield simulate(
            scenario,
            strategy,
            seed=settings.seed,
            health=settings.eject,
            retry=RetryPolicy(attempts=settings.attempts),
            keys=keys,
            window=max(1.0, (scenario.seconds - scenario.warmup) / _MOST_WINDOWS),
        )
    if sys.stderr.isatty():
        sys.stderr.write("\r\x1b[K")


def _draw_key(rng: Random, number: int) -> int:
    return int(rng.random() * number)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep what simulated balancers log off the terminal: it did not happen."""
    logger, handler = logging.getLogger("lbtransport"), logging.NullHandler()
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
