"""A request's body that can be sent only once: what a client's stand-in knows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from lbtransport._types.exceptions import is_caused_by


class Once:
    """Stands in for a body, and tells whether it was touched and whether it failed.

    Until it is touched the request may go to another backend; from then on part of it
    may be gone.
    What it raises is the caller's own error, whatever a client wraps it in, and blames
    no backend.
    """

    def __init__(self, body: Any) -> None:
        """Stand in for `body`, which is not touched yet."""
        self._body = body
        self._error: Exception | None = None
        self.is_touched = False

    def can_begin_again(self) -> bool:
        """Tell whether it can be sent, whole; a file is put back to where it began."""
        return not self.is_touched

    def has_raised(self, error: Exception) -> bool:
        """Tell whether it was the body itself that raised an error."""
        return self._error is not None and is_caused_by(error, self._error)

    @contextmanager
    def _touch(self) -> Iterator[None]:
        """Count as touched, and take note of what is raised inside the block."""
        self.is_touched = True
        try:
            yield
        except Exception as error:
            self._error = error
            raise
