"""All of them."""

from __future__ import annotations

from tests.sdk import on_httpx, on_httpx2, on_requests

SDKS = [*on_httpx2.SDKS, *on_httpx.SDKS, *on_requests.SDKS]
