"""What must be left of a run: nothing."""

from __future__ import annotations

import contextlib
import gc
import threading
from dataclasses import dataclass
from pathlib import Path

_DESCRIPTORS = Path("/proc/self/fd")


@dataclass(frozen=True)
class Holdings:
    """What this process holds.

    Attributes:
        threads: Names of its threads.
        descriptors: What its file descriptors lead to, by their numbers.
    """

    threads: tuple[str, ...]
    descriptors: dict[str, str]

    @classmethod
    def now(cls) -> Holdings:
        """Look, after all that nobody holds any more is gone."""
        for _ in range(3):  # what a finaliser lets go of may have one of its own
            gc.collect()
        descriptors = {}
        if _DESCRIPTORS.is_dir():  # Linux alone has it
            for entry in _DESCRIPTORS.iterdir():
                with contextlib.suppress(FileNotFoundError):  # that by which we look
                    descriptors[entry.name] = str(entry.readlink())
        threads = sorted(thread.name for thread in threading.enumerate())
        return cls(tuple(threads), descriptors)

    def added_since(self, before: Holdings) -> list[str]:
        """Return what is held now and was not before."""
        threads = list(self.threads)
        for name in before.threads:
            if name in threads:
                threads.remove(name)
        number = len(self.descriptors) - len(before.descriptors)
        added = self.descriptors.keys() - before.descriptors.keys()
        kept = [self.descriptors[name] for name in added] if number > 0 else []
        return [f"thread {name}" for name in threads] + [f"file {it}" for it in kept]
