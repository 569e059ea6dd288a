"""What can go wrong here, as exceptions.

    LoadBalancingError
    ├── NoBackendsAvailable   nothing can be selected now
    └── ConfigurationError    also a ValueError: what was asked for makes no sense

Not here: what a server or a network did.
Those errors are the client's own and leave an adapter unchanged; and what leaves an
adapter of ours is made, there, an error of the client's too (a
``requests.ConnectionError``, an ``httpx.ConnectError``), so that code which knows
nothing of load balancing catches it.
"""

from __future__ import annotations

import re

# Where, in a list of URLs, the next one begins.
_NEXT_URL = re.compile(r"(?<=[\s,;])(?=https?://)", re.IGNORECASE)
# What follows a URL's path, with the separators in it, and without those after it.
_QUERY = re.compile(r"(https?://[^\s?#]*[?#])(?!\*\*\*)\S*[^\s,;]", re.IGNORECASE)


class LoadBalancingError(Exception):
    """Anything that the balancer itself, and not a backend, has to complain about."""


class NoBackendsAvailable(LoadBalancingError):  # noqa: N818 - the public name
    """No backend of the service can be selected; the message says why."""


class ConfigurationError(LoadBalancingError, ValueError):
    """An argument, a variable or a file asks for something that makes no sense."""


def hide_credentials(text: str) -> str:
    """Return a text so that it can be shown, whatever stands in its URLs.

    Each ``user:password@`` is replaced, and each query, which may hold a token.
    Text that holds no URL in good form is taken for one: a password with a slash or a
    space in it must not show, so what is hidden is rather too much.
    """
    hidden = "".join(map(_hide_userinfo, _NEXT_URL.split(text)))
    return _QUERY.sub(r"\1***", hidden)


def _hide_userinfo(url: str) -> str:
    before, at, after = url.rpartition("@")
    scheme, slashes, _ = before.partition("//")
    if not at:
        return url
    return f"{scheme}//***@{after}" if slashes else f"***@{after}"
