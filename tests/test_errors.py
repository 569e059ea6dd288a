"""The tree of errors, and what no message shows."""

from __future__ import annotations

import pytest

from lbtransport import ConfigurationError, LoadBalancingError, NoBackendsAvailable
from lbtransport._errors import hide_credentials


def test_errors_are_one_family() -> None:
    assert issubclass(NoBackendsAvailable, LoadBalancingError)
    assert issubclass(ConfigurationError, LoadBalancingError)
    assert issubclass(ConfigurationError, ValueError)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("no url at all", "no url at all"),
        ("http://host/path", "http://host/path"),
        ("http://user:pass@host", "http://***@host"),
        ("http://user:pa/ss#wo?rd @host", "http://***@host"),
        ("http://host/a@b", "http://***@b"),  # rather too much than too little
        ("user:pass@host", "***@host"),
        ("//user:pass@host", "//***@host"),
        ("http://a:b@one http://c:d@two", "http://***@one http://***@two"),
        ("http://one,http://c:d@two", "http://one,http://***@two"),
    ],
)
def test_credentials_are_hidden(text: str, shown: str) -> None:
    assert hide_credentials(text) == shown
