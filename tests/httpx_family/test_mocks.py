"""Libraries that mock httpx: what they see of us, and how to keep us out of their way.

The tests of a user are in `users/`, and run in a pytest of their own: a plugin that
patches the client has no business in ours.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import vcr

import lbtransport
import lbtransport.testing
from tests.httpx_family.kinds import Kind, done, orders_at, outcomes_of
from tests.servers import LoopbackServer, reply

USERS = Path(__file__).parent / "users"
URL = "http://orders/items"


def run_tests(name: str, folder: Path, *options: str, **environment: str) -> str:
    """Run a user's tests as he would; return what pytest says of each."""
    command = [sys.executable, "-m", "pytest", "-v", "--tb=line", "-W", "error"]
    shutil.copy(USERS / f"{name}.py", folder / f"test_{name}.py")
    result = subprocess.run(
        [*command, "-p", "no:cacheprovider", *options],
        cwd=folder,
        env={
            **os.environ,
            "PYTHONPATH": str(Path(lbtransport.__file__).parents[1]),
            "SWITCH": "",
            **environment,
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return f"{result.stdout}\n{result.stderr}\nexit code {result.returncode}"


def test_plugins_of_mocks_are_not_in_our_own_suite(
    pytestconfig: pytest.Config,
) -> None:
    plugins = pytestconfig.pluginmanager

    assert not plugins.has_plugin("pytest_httpx")
    assert not plugins.has_plugin("respx")


@pytest.mark.parametrize(
    "environment",
    [{"SWITCH": "disabled"}, {"LBTRANSPORT_MOCK": "passthrough"}],
    ids=["disabled", "environment"],
)
def test_mocks_of_logical_urls_work_as_before(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    output = run_tests("logical", tmp_path, **environment)

    assert "exit code 0" in output, output
    assert "PASSED" in output


def test_mocks_of_logical_urls_see_the_backends_without_the_switch(
    tmp_path: Path,
) -> None:
    output = run_tests("logical", tmp_path, "-k", "exception or by_host")

    assert "2 failed" in output
    assert "PASSED" not in output
    assert "No response can be found for GET request on http://10.0.0." in output


def test_mocks_of_backends_see_each_attempt(tmp_path: Path) -> None:
    output = run_tests("backends", tmp_path)

    assert "exit code 0" in output, output
    assert "PASSED" in output


def text_of(cassette: str) -> str:
    return Path(cassette).read_text()


async def test_cassette_of_vcr_holds_the_backends_urls_and_is_replayed(
    kind: Kind, server: LoopbackServer, tmp_path: Path
) -> None:
    server.handler = reply(body=b"recorded")
    cassette = str(tmp_path / "cassette.yaml")

    async def get() -> tuple[str, str, tuple[int, int, int]]:
        orders = orders_at(server.url, retry=False)
        with vcr.VCR().use_cassette(cassette):
            async with kind.connect(orders) as client:
                response = await done(client.get(URL))
        return response.text, str(response.url), outcomes_of(orders)

    recorded = await get()
    server.kill()
    replayed = await get()

    assert recorded == replayed == ("recorded", URL, (1, 0, 0))
    assert len(server.requests) == 1
    assert f"uri: {server.url}/items" in text_of(cassette)


OLD_CASSETTE = """
interactions:
- request: {method: GET, uri: 'http://orders/items', body: '', headers: {}}
  response:
    status: {code: 200, message: OK}
    headers: {}
    body: {string: recorded}
version: 1
"""


async def test_cassette_of_before_us_is_replayed_when_we_are_disabled(
    kind: Kind, tmp_path: Path
) -> None:
    cassette = tmp_path / "cassette.yaml"
    cassette.write_text(OLD_CASSETTE)
    orders: Any = orders_at("http://10.0.0.1")
    player = vcr.VCR(record_mode=vcr.mode.NONE)

    with lbtransport.testing.disabled(), player.use_cassette(str(cassette)):
        async with kind.connect(orders) as client:
            response = await done(client.get(URL))

    assert response.text == "recorded"
    assert outcomes_of(orders) == (0, 0, 0)
