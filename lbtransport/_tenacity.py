"""A tenacity object of the user's own: how it is taken, and where it is refused.

All of it is honoured: stop, wait, retry, every callback, the sleep.
What one kind of client cannot honour is refused with the reason, before anything is
sent: a thread cannot await, and a task must not block its loop.

Not here: what it is asked about, and when (`_course`).
"""

from __future__ import annotations

import inspect
from typing import Any

import tenacity

from lbtransport._errors import ConfigurationError

# What a driver does in its own way; any other sleep is the user's own.
USUAL_SLEEPS = (tenacity.Retrying().sleep, tenacity.AsyncRetrying().sleep)

_CALLBACKS = (
    "sleep",
    "stop",
    "wait",
    "retry",
    "before",
    "after",
    "before_sleep",
    "retry_error_callback",
)


def adopt(retrying: tenacity.BaseRetrying) -> tenacity.BaseRetrying:
    """Return the object that stands for a user's own, which is not changed.

    Raises:
        ConfigurationError: If it has callbacks that it could never await.
    """
    if not isinstance(retrying, tenacity.AsyncRetrying):
        _refuse_coroutines(retrying)
    has_own_end = (
        retrying.retry_error_callback is not None
        or retrying.retry_error_cls is not tenacity.RetryError
    )
    if has_own_end:
        return retrying
    # Otherwise a RetryError would leave the transport, which no caller of the client
    # expects: the last answer or the last error does.
    return retrying.copy(retry_error_callback=last_outcome)


def last_outcome(retry_state: tenacity.RetryCallState) -> Any:
    """Return what the last attempt returned, or raise what it raised."""
    return retry_state.outcome.result() if retry_state.outcome else None


def _refuse_coroutines(retrying: tenacity.BaseRetrying) -> None:
    """Refuse what a Retrying would call and never await: a predicate is then true."""
    for name in _CALLBACKS:
        callback = getattr(retrying, name)
        if inspect.iscoroutinefunction(callback) or inspect.iscoroutinefunction(
            getattr(callback, "__call__", None)  # noqa: B004 - an object's own
        ):
            raise ConfigurationError(
                f"retry={type(retrying).__name__}({name}={callback!r}) would never "
                f"await it: give a tenacity AsyncRetrying, for asynchronous clients"
            )


def refuse_awaiting(retrying: tenacity.BaseRetrying) -> None:
    """Refuse a tenacity object that a thread cannot run.

    Raises:
        ConfigurationError: If it must be awaited.
    """
    if isinstance(retrying, tenacity.AsyncRetrying):
        raise ConfigurationError(
            f"retry={type(retrying).__name__}(...) must be awaited, and a synchronous "
            f"client cannot: give it a tenacity Retrying"
        )


def refuse_blocking(retrying: tenacity.BaseRetrying) -> None:
    """Refuse a tenacity object that would stop an event loop.

    Raises:
        ConfigurationError: If it sleeps in a way of its own that is not awaited.
    """
    is_awaited = isinstance(retrying, tenacity.AsyncRetrying)
    if not is_awaited and retrying.sleep not in USUAL_SLEEPS:
        raise ConfigurationError(
            f"retry={type(retrying).__name__}(sleep={retrying.sleep!r}) would block "
            f"the event loop: give a tenacity AsyncRetrying with an async sleep, or "
            f"leave `sleep` away"
        )
