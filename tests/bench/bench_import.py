"""How long `import tinygrad_edu` takes beside `import numpy`, each in a fresh interpreter. Wanted: at most 1.5 times.

Under pytest-benchmark the two are timed one after the other; run as a script, this prints the ratio measured in turn.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from statistics import median

import pytest

# With bytecode, as pip writes NumPy's, also where a machine is set not to write any.
ENVIRONMENT = {**os.environ, "PYTHONDONTWRITEBYTECODE": ""}
PAIRS = 20  # a start varies by some 10 %; the median of 20 ratios by about 2 %


def start(statement: str) -> float:
    """Seconds that a fresh interpreter takes to start, run one statement and end."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-P", "-c", statement], check=True, env=ENVIRONMENT)
    return time.perf_counter() - began


@pytest.mark.benchmark(group="import")
@pytest.mark.parametrize("module", ["numpy", "tinygrad_edu"])
def test_import(benchmark, module):
    benchmark.pedantic(start, args=(f"import {module}",), rounds=PAIRS, warmup_rounds=1)


def main() -> None:
    """Print the ratio, of whole starts and of the imports alone (an empty start taken off)."""
    start("import tinygrad_edu")  # writes the bytecode
    turns = [(start("pass"), start("import numpy"), start("import tinygrad_edu")) for _ in range(PAIRS)]
    empty, numpy, ours = (median(turn[i] for turn in turns) for i in range(3))
    whole = median(turn[2] / turn[1] for turn in turns)
    print(f"import numpy {1e3 * (numpy - empty):.0f} ms, import tinygrad_edu {1e3 * (ours - empty):.0f} ms beyond an")
    print(f"empty start of {1e3 * empty:.0f} ms: {(ours - empty) / (numpy - empty):.2f} x (wanted: at most 1.50 x)")
    print(f"whole starts, measured in turn: {whole:.2f} x")


if __name__ == "__main__":
    main()
