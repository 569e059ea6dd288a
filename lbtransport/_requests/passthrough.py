"""Where requests go that belong to no service: adapters by prefix of the URL."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from requests.adapters import BaseAdapter

PassthroughArgument: TypeAlias = BaseAdapter | Mapping[str, BaseAdapter] | None


class Passthrough:
    """The adapters for what is not balanced."""

    def __init__(self, given: PassthroughArgument) -> None:
        """Know what an adapter was given: one for all, several by prefix, or none."""
        if isinstance(given, BaseAdapter):
            given = {"": given}
        self._adapters = dict(given or {})

    def find(self, url: str | None) -> BaseAdapter | None:
        """Return the adapter of the longest prefix that fits; None if none does."""
        beginning = (url or "").lower()
        fitting = [
            prefix for prefix in self._adapters if beginning.startswith(prefix.lower())
        ]
        return self._adapters[max(fitting, key=len)] if fitting else None

    def keep(self, prefix: str, adapter: BaseAdapter) -> None:
        """Add the adapter of a prefix, if there is none that fits it."""
        if self.find(prefix) is None:
            self._adapters = {**self._adapters, prefix: adapter}

    def close(self) -> None:
        """Close them all."""
        for adapter in self._adapters.values():
            adapter.close()
