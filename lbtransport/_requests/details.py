"""What became of the exchange behind a response of requests, kept with the response."""

from __future__ import annotations

from requests import Response

from lbtransport._selection import Selection
from lbtransport._types import Exchange

_NAME = "_lbtransport_exchange"
# A response is pickled, and copied, by this list; one of its own adds to it.
_ATTRIBUTES = [*Response.__attrs__, _NAME]


def exchange(response: Response) -> Exchange | None:
    """Return what became of the request behind a response, attempt by attempt.

    It survives pickling and copying.
    Each response of a chain of redirects has its own.

    Args:
        response: What `requests` gave.

    Returns:
        The exchange; None if the request passed through.
    """
    return response.__dict__.get(_NAME)


def keep_exchange(response: Response, service: str, selection: Selection) -> None:
    """Keep, with a response, the attempts that led to it."""
    response.__dict__[_NAME] = Exchange(service, selection.attempts)
    response.__attrs__ = _ATTRIBUTES
