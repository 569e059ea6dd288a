"""A request of httpx or httpx2, as rules for keys see it."""

from __future__ import annotations

from typing import Any

from lbtransport._key_search import RequestView


class FamilyView(RequestView):
    """What the caller's client built."""

    native: Any

    @property
    def url(self) -> str:
        """The logical URL."""
        return str(self.native.url)

    def header(self, name: str) -> str | None:
        """Return a header; if it is there more than once, all of its values."""
        values = self.native.headers.get_list(name)
        separator = "; " if name == "cookie" else ", "
        return separator.join(values) if values else None

    def body(self) -> bytes | None:
        """Return the body, unless it is a stream."""
        try:
            body: bytes = self.native.content
        except RuntimeError:  # the client's RequestNotRead
            return None
        return body
