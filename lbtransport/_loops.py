"""Which library runs the task that asks: asyncio or trio.

Neither is imported here: whoever runs tasks has imported his, and whoever does not need
not pay for asyncio, which takes longer to import than all of ours.
"""

from __future__ import annotations

import sys
from typing import Any


def running_trio() -> Any:
    """Return the trio module if this is one of its tasks."""
    trio = sys.modules.get("trio")
    if trio is None:
        return None
    try:
        trio.lowlevel.current_task()  # in_trio_task() would say it, but from 0.29 on
    except RuntimeError:
        return None
    return trio


def loaded_asyncio() -> Any:
    """Return the asyncio module, which runs the task if trio does not."""
    return sys.modules["asyncio"]
