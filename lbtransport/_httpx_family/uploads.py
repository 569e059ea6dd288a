"""Uploads: the bodies of requests, and which of them can be sent again.

    bytes, text, forms, JSON              as often as one likes
    forms with files                      the same, if each file can be rewound
    a file (`content=file`)               rewound to where it began
    a generator, anything else            until it is touched, and then no more

Not here: how a response's body ends (`bodies`).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from typing import Any

from lbtransport._once import Once


def is_replayable(hx: Any, stream: Any) -> bool:
    """Tell whether a request's body gives the same bytes each time it is iterated.

    Bytes, forms and JSON do.
    A multipart form does if its files can be rewound; what it keeps them in is private,
    so where that is not found it counts as sendable once.
    """
    if isinstance(stream, hx.ByteStream):
        return True
    fields = getattr(stream, "fields", None)
    if fields is None or type(stream).__name__ != "MultipartStream":
        return False
    files = [field.file for field in fields if hasattr(field, "file")]
    return all(
        isinstance(file, (bytes, str)) or getattr(file, "seekable", bool)()
        for file in files
    )


class TouchedSyncStream(Once):
    """For a synchronous client."""

    def __init__(self, body: Any) -> None:
        """Stand in for `body`, and note where it begins if it is a file."""
        super().__init__(body)
        # Private to the client: where it is not found, nothing is rewound.
        self._file: Any = getattr(body, "_stream", None)
        self._began_at: int | None = None
        # What is no file, a pipe, or one that is closed, cannot tell.
        with suppress(AttributeError, OSError, ValueError):
            self._began_at = self._file.tell()  # type: ignore[union-attr]  # suppressed

    def can_begin_again(self) -> bool:
        """Tell whether it can be sent, whole; a file is put back to where it began."""
        if not self.is_touched:
            return True
        if self._began_at is None:
            return False
        try:
            self._file.seek(self._began_at)
        except (AttributeError, OSError, ValueError):
            return False
        self.is_touched = False
        return True

    def __iter__(self) -> Iterator[bytes]:
        """Yield the chunks."""
        with self._touch():
            yield from self._body


class TouchedAsyncStream(Once):
    """For an asynchronous client."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Yield the chunks."""
        with self._touch():
            async for chunk in self._body:
                yield chunk
