"""The demo as people run it: real servers, real clients, a real death."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PATIENCE = 120  # seconds


def start_demo(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "lbtransport", "demo", "--plain", *arguments],
        cwd=ROOT,
        # By the environment, so that the servers have it too.
        env={**os.environ, "PYTHONDEVMODE": "1", "PYTHONWARNINGS": "error"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_no_caller_sees_an_error_when_a_server_dies_and_returns() -> None:
    with start_demo("--seconds", "4") as demo:
        # The servers have inherited stderr: that it ends means that they are all gone.
        out, err = demo.communicate(timeout=PATIENCE)

    assert demo.returncode == 0, out + err
    assert not err
    assert out.endswith("Errors that callers saw: 0\n")
    for told in (
        ">> Killing server b",
        "b is ejected",
        ">> Starting server b again",
        "b passed its trial: back in rotation",
    ):
        assert told in out


@pytest.mark.skipif(os.name == "nt", reason="Ctrl-C is sent in another way there")
def test_interrupted_demo_leaves_nothing_behind() -> None:
    with start_demo() as demo:
        assert demo.stdout is not None
        told = next((line for line in demo.stdout if ">>" in line), "nothing")
        demo.send_signal(signal.SIGINT)
        _, err = demo.communicate(timeout=PATIENCE)

    assert "Three clients" in told, err
    assert demo.returncode == 130
    assert err == "interrupted: all that was started has ended\n"
