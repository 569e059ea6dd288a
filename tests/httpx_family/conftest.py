"""Each async test in this folder runs for all six kinds of clients."""

from __future__ import annotations

import pytest

from tests.httpx_family.kinds import KINDS, Kind


@pytest.fixture(params=KINDS, ids=str)
def kind(request: pytest.FixtureRequest) -> Kind:
    """Give one kind of client; parametrise it indirectly for fewer of them."""
    found: Kind = request.param
    return found


@pytest.fixture
def anyio_backend(kind: Kind) -> str:
    """Run under the kind's own loop; a synchronous client does not mind either."""
    return kind.loop or "asyncio"
