"""Make the pictures and tables of the page "Which strategy when" anew.

    python docs/examples/regenerate.py

Each block of the page that begins with `$ lbtransport simulate` is run as it stands
there, from the root of the checkout; what it prints replaces what follows in the block,
and the picture that it draws replaces the old one.
Pictures are cut down to half their size, for a repository keeps all that ever were.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import sys
from pathlib import Path

import matplotlib as mpl

from lbtransport import cli

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "explanation" / "strategies.md"

# What takes much room and is not to be seen.
_SLIMMER = (
    (re.compile(r"(\d+\.\d)\d+"), r"\1"),  # a tenth of a point is enough
    (re.compile(r' id="(?:axes|figure|line2d|patch|text|[xy]tick)_\d+"'), ""),
    (re.compile(r"(?: *\n)+ *"), "\n"),
    (re.compile(r"font-family: [^;]*, sans-serif;"), "font-family: sans-serif;"),
    (re.compile(r'(<use [^>]*) style="[^"]*"'), r"\1"),  # what is used has the same
    *[(re.compile(r"<g>\n(<[^>]+/>)\n</g>"), r"\1")] * 2,
)
_LINES = re.compile(r'd="[ML\d.\s-]+"')
_BLOCK = re.compile(
    r"(```console\n\$ lbtransport (simulate [^\n]+)\n).*?(```)", re.DOTALL
)


def regenerate(text: str) -> str:
    """Return the text of a page with what its commands print now."""
    return _BLOCK.sub(lambda block: block[1] + _run(block[2]) + block[3], text)


def _run(command: str) -> str:
    print(command, file=sys.stderr)
    words = shlex.split(command)
    printed = io.StringIO()
    with (
        contextlib.redirect_stdout(printed),
        mpl.rc_context({"svg.fonttype": "none"}),  # texts stay texts
    ):
        code = cli.main(words)
    if code:
        raise SystemExit(code)
    if "--plot" in words:
        slim(Path(words[words.index("--plot") + 1]))
    return printed.getvalue()


def slim(picture: Path) -> None:
    """Take out of a picture what takes much room and is not to be seen."""
    text = picture.read_text(encoding="utf-8")
    for superfluous, instead in _SLIMMER:
        text = superfluous.sub(instead, text)
    # What follows a move is a line anyway.
    text = _LINES.sub(lambda lines: lines[0].replace("L ", ""), text)
    picture.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    os.chdir(ROOT)
    PAGE.write_text(regenerate(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
