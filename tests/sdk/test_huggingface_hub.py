"""The hub itself: its API, and downloads."""

from __future__ import annotations

from pathlib import Path

import httpx2
import huggingface_hub
import pytest
from huggingface_hub.utils._http import http_backoff

from tests.conftest import ServerStarter
from tests.httpx_family.kinds import orders_at, outcomes_of
from tests.sdk import stub
from tests.sdk.on_httpx2 import huggingface_goes_to


def download(into: Path) -> bytes:
    path = huggingface_hub.hf_hub_download(
        "org/small",
        "config.json",
        endpoint="http://orders",
        token=False,
        cache_dir=into,
    )
    return Path(path).read_bytes()


def test_api_calls_spread_over_the_servers(start_server: ServerStarter) -> None:
    servers = [start_server(stub.answer) for _ in range(2)]
    orders = orders_at(*[server.url for server in servers], strategy="round_robin")
    api = huggingface_hub.HfApi(endpoint="http://orders", token=False)

    with huggingface_goes_to(orders):
        names = [api.model_info("org/small").id for _ in range(4)]

    assert names == ["org/small"] * 4
    assert [len(server.requests) for server in servers] == [2, 2]
    assert outcomes_of(orders) == (4, 0, 0)


def test_download_comes_from_a_server_that_is_there(
    start_server: ServerStarter, refused_url: str, tmp_path: Path
) -> None:
    server = start_server(stub.answer)
    orders = orders_at(refused_url, server.url)

    with huggingface_goes_to(orders):
        content = download(tmp_path)

    assert content == stub.FILE
    assert [request.method for request in server.requests] == ["HEAD", "GET"]
    assert outcomes_of(orders)[2] == 0


def test_hub_that_was_out_of_reach_is_reached_again(
    start_server: ServerStarter,
) -> None:
    orders = orders_at()

    with huggingface_goes_to(orders):
        # What downloads are made with; it closes the process's client when it fails.
        with pytest.raises(httpx2.ConnectError):
            http_backoff("GET", "http://orders/api/models/org/small", max_retries=0)
        orders.add_backend(start_server(stub.answer).url)
        response = http_backoff("GET", "http://orders/api/models/org/small")

    assert response.status_code == 200
    assert outcomes_of(orders) == (1, 0, 0)
