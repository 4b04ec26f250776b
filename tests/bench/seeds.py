"""Run a project once for each of several seeds, and keep its figures and their means under tests/bench/results/.

    python tests/bench/seeds.py digits --seeds 3 -- --dataset mnist --epochs 10

Every figure is the project's own `--json`. The file is named after the project and its flags, and holds the command.
`--references N` trains the reference library for the first N seeds only; each mean is of the runs that have the figure.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import mean

RESULTS = Path(__file__).parent / "results"


def main() -> None:
    """Parse, run, summarise."""
    own = sys.argv[1 : sys.argv.index("--")] if "--" in sys.argv else sys.argv[1:]
    flags = sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else []
    parser = argparse.ArgumentParser(description="Run a project for several seeds; flags after -- are the project's.")
    parser.add_argument("project")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--references", type=int)
    args = parser.parse_args(own)
    compared = args.seeds if args.references is None else args.references
    alone = ["--compare", "none"]
    runs = [run(args.project, seed, [*flags, *(alone if seed >= compared else [])]) for seed in range(args.seeds)]
    keys = [key for key, value in runs[0].items() if isinstance(value, float)]
    means = {f"{key}_mean": mean(r[key] for r in runs if key in r) for key in keys}
    command = " ".join(["python tests/bench/seeds.py", *sys.argv[1:]])
    name = "-".join([args.project, *[flag.strip("-") for flag in flags]])
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps({"command": command, **means, "runs": runs}, indent=2) + "\n")
    print(json.dumps(means, indent=2), path.relative_to(RESULTS.parent.parent.parent), sep="\n")


def run(project: str, seed: int, flags: list[str]) -> dict[str, float]:
    """One run in a process of its own: its figures."""
    with tempfile.TemporaryDirectory() as folder:
        summary = Path(folder) / "summary.json"
        command = [sys.executable, "-m", "tinygrad_edu.cli", "run", project, "--seed", str(seed), "--out", folder]
        subprocess.run([*command, "--json", str(summary), *flags], check=True, stdout=subprocess.DEVNULL)
        return json.loads(summary.read_text())


if __name__ == "__main__":
    main()
