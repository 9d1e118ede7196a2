"""`python -m reverie.benchmarks ...` is `reverie bench ...`."""

from __future__ import annotations

import sys

from ..cli.main import run

if __name__ == "__main__":
    sys.argv.insert(1, "bench")
    run()
