"""Each async test in this folder that asks for `sdk` runs for all of them."""

from __future__ import annotations

import pytest

from tests.sdk.kit import Sdk
from tests.sdk.sdks import SDKS


@pytest.fixture(params=SDKS, ids=str)
def sdk(request: pytest.FixtureRequest) -> Sdk:
    """Give one SDK."""
    found: Sdk = request.param
    return found


@pytest.fixture
def anyio_backend(sdk: Sdk) -> str:
    """Run under the SDK's own loop; a synchronous one does not mind either."""
    return sdk.loop or "asyncio"
