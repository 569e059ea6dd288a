"""A pytest plugin: whoever imports httpx gets httpx2, as its `alias_httpx` offers."""

from __future__ import annotations

import httpx2

httpx2.alias_httpx()
