"""A property that is computed when it is first asked for, and kept.

`functools.cached_property` does the same, but up to Python 3.11 under one lock for all
instances: the child of a fork waits for ever for a thread of the parent that held it.
Here two threads may compute the same value twice.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class lazy(Generic[T]):  # noqa: N801 - as property and cached_property
    """Decorates a method that takes nothing but its instance, which has a dict."""

    def __init__(self, function: Callable[[Any], T]) -> None:
        """Compute with `function`."""
        self._function = function
        self.__doc__ = function.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        """Keep the value under the attribute's name, which is found before this."""
        self._name = name

    def __get__(self, instance: Any, owner: type) -> T:
        """Compute the value, and keep it."""
        value = self._function(instance)
        instance.__dict__[self._name] = value
        return value
