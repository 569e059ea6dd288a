"""Runs the examples of a page of documentation, as they stand there.

The addresses in the text, such as ``http://10.0.0.1:8080``, are nobody's: a real server
on loopback stands in for each, and takes its place before the page is parsed.
What `sh` blocks export is the environment of the Python block that follows, which then
runs in a process of its own, as a program does that is configured from outside.
A `toml` block is read as the file that LBTRANSPORT_CONFIG names.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from sybil import Document, Example
from sybil.evaluators.python import PythonEvaluator
from sybil.parsers.markdown import CodeBlockParser

from lbtransport._env import services_of
from tests.sdk import stub
from tests.servers import LoopbackServer, Request

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]

_ADDRESS = re.compile(r"http://10\.0\.0\.\d+:\d+")


class Page:
    """A page, whose examples can be run.

    Attributes:
        servers: The stand-ins.
    """

    def __init__(
        self,
        path: Path,
        start_server: Callable[..., LoopbackServer],
        scratch: Path,
    ) -> None:
        """Read the page, and start a stand-in for each address in it.

        Args:
            path: The page.
            start_server: Starts a server.
            scratch: A directory that nobody else uses.
        """
        text = path.read_text(encoding="utf-8")
        self.servers = {
            address: start_server(stub.answer)
            for address in dict.fromkeys(_ADDRESS.findall(text))
        }
        text = _ADDRESS.sub(lambda found: self.servers[found[0]].url, text)
        self._document = Document(text, str(path))
        self._scratch = scratch
        self._environment: dict[str, str] = {}
        self._run_here = PythonEvaluator()
        for language, evaluate in (
            ("python", self._run_python),
            ("sh", self._read_exports),
            ("toml", self._read_file),
        ):
            for region in CodeBlockParser(language, evaluate)(self._document):
                self._document.add(region)

    @property
    def requests(self) -> list[Request]:
        """What the stand-ins got."""
        return [
            request for server in self.servers.values() for request in server.requests
        ]

    def run(self) -> int:
        """Run the examples in their order; return how many there are."""
        examples = list(self._document.examples())
        try:
            for example in examples:
                example.evaluate()
        finally:
            # They leave their clients open, as programs do that go on.
            for value in self._document.namespace.values():
                _close(value)
        return len(examples)

    def _run_python(self, example: Example) -> None:
        if self._environment:
            self._run_elsewhere(str(example.parsed), example.line)
        else:
            self._run_here(example)

    def _run_elsewhere(self, source: str, line: int) -> None:
        done = subprocess.run(
            [sys.executable, "-c", source],
            env={**os.environ, **self._environment},
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, f"the example at line {line}:\n{done.stderr}"

    def _read_exports(self, example: Example) -> None:
        self._environment = {}
        for words in map(shlex.split, str(example.parsed).splitlines()):
            assert words[0] == "export", f"line {example.line}: {words}"
            for word in words[1:]:
                name, _, value = word.partition("=")
                self._environment[name] = value

    def _read_file(self, example: Example) -> None:
        path = self._scratch / f"line-{example.line}.toml"
        path.write_text(str(example.parsed), encoding="utf-8")
        assert services_of({"LBTRANSPORT_CONFIG": str(path)})


def _close(value: Any) -> None:
    if isinstance(value, (type, Iterable)):  # classes, texts, and streams at their end
        return
    close = getattr(value, "close", None)
    if callable(close):
        close()
