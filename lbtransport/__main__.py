"""``python -m lbtransport``: the command line, where no script was installed."""

from __future__ import annotations

import sys

from lbtransport.cli import main

sys.exit(main())
