"""What the tests of the configuration share: all that an error and its chain say."""

from __future__ import annotations

import dataclasses
import traceback
from collections.abc import Callable

from lbtransport import Backend, ConfigurationError

SECRET = "hunter2"
URL = "http://10.0.0.1:8080"

# The least that makes a service.
ORDERS = {
    "LBTRANSPORT_SERVICES": "orders",
    "LBTRANSPORT_ORDERS_BACKENDS": URL,
}


def everything_said(error: BaseException) -> str:
    """Return every text of an error, of its causes and of its contexts."""
    said = ["".join(traceback.format_exception(error))]
    pending: list[BaseException | None] = [error]
    while pending:
        current = pending.pop()
        if current is not None:
            said += [str(current), repr(current)]
            pending += [current.__cause__, current.__context__]
    return "\n".join(said)


def mistake_in(read: Callable[[], object]) -> ConfigurationError | None:
    """Return what is raised for a mistake, or None if there was none."""
    try:
        read()
    except ConfigurationError as error:
        return error
    return None


def attributes(backend: Backend) -> dict[str, object]:
    """Return all that was said of a backend; `==` looks at its URL alone."""
    said = {
        field.name: getattr(backend, field.name)
        for field in dataclasses.fields(backend)
        if field.init
    }
    return {**said, "headers": dict(backend.headers or {})}
