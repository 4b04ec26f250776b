"""Run a project once for each of several seeds, and keep its figures and their means under tests/bench/results/.

    python tests/bench/seeds.py digits --seeds 3 -- --dataset mnist --epochs 10

Every figure is the project's own `--json`. The file is named after the project and its flags, and holds the command.
`--references N` trains the reference library for the first N seeds only; each mean is of the runs that have the figure.
`--curve NAME` also keeps how that figure went: [seconds, value] some 60 times. `--keep FOLDER` keeps the runs, if they
take long: once more, and the command goes on where it was cut off.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from contextlib import nullcontext
from pathlib import Path
from statistics import mean
from typing import Any

RESULTS = Path(__file__).parent / "results"


def main() -> None:
    """Parse, run, summarise."""
    own = sys.argv[1 : sys.argv.index("--")] if "--" in sys.argv else sys.argv[1:]
    flags = sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else []
    parser = argparse.ArgumentParser(description="Run a project for several seeds; flags after -- are the project's.")
    parser.add_argument("project")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--references", type=int)
    parser.add_argument("--curve")
    parser.add_argument("--keep", type=Path)
    args = parser.parse_args(own)
    compared = args.seeds if args.references is None else args.references
    alone = ["--compare", "none"]
    runs = [
        run(args.project, seed, [*flags, *(alone if seed >= compared else [])], args.keep, args.curve)
        for seed in range(args.seeds)
    ]
    keys = [key for key, value in runs[0].items() if isinstance(value, float)]
    means = {f"{key}_mean": mean(r[key] for r in runs if key in r) for key in keys}
    command = " ".join(["python tests/bench/seeds.py", *sys.argv[1:]])
    name = "-".join([args.project, *[flag.strip("-") for flag in flags]])
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps({"command": command, **means, "runs": runs}, indent=2) + "\n")
    print(json.dumps(means, indent=2), path.relative_to(RESULTS.parent.parent.parent), sep="\n")


def run(project: str, seed: int, flags: list[str], keep: Path | None, curve: str | None) -> dict[str, Any]:
    """One run in a process of its own: its figures."""
    with nullcontext(keep / str(seed)) if keep else tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        summary = out / "summary.json"
        if not (summary.is_file() and summary.read_text()):  # empty until the run has ended
            command = [sys.executable, "-m", "tinygrad_edu.cli", "run", project, "--seed", str(seed), "--out", str(out)]
            resume = ["--resume"] if (out / "checkpoint.safetensors").is_file() else []
            subprocess.run([*command, "--json", str(summary), *resume, *flags], check=True, stdout=subprocess.DEVNULL)
        return json.loads(summary.read_text()) | ({curve: history(out / "metrics.jsonl", curve)} if curve else {})


def history(metrics: Path, name: str) -> list[list[float]]:
    """[seconds, value] of one figure, some 60 times in equal steps, the last one among them."""
    lines = [json.loads(line) for line in metrics.read_text().splitlines()]
    points = [[round(line["seconds"], 1), round(line[name], 3)] for line in lines if name in line]
    return points[:: -max(1, len(points) // 60)][::-1]


if __name__ == "__main__":
    main()
