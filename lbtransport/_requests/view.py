"""A request of requests, as rules for keys see it."""

from __future__ import annotations

from requests import PreparedRequest

from lbtransport._key_search import RequestView


class PreparedView(RequestView):
    """What the caller's session prepared."""

    native: PreparedRequest

    @property
    def url(self) -> str:
        """The logical URL."""
        return self.native.url or ""

    def header(self, name: str) -> str | None:
        """Return a header; requests allows bytes too."""
        value: str | bytes | None = self.native.headers.get(name)
        return value.decode("latin-1") if isinstance(value, bytes) else value

    def body(self) -> bytes | bytearray | str | None:
        """Return the body, unless it is a file or a generator."""
        body: object = self.native.body
        return body if isinstance(body, (bytes, bytearray, str)) else None
