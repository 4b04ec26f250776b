"""Training steps timed side by side with torch and others: `tinygrad-edu bench [NAME ...]`."""

from tinygrad_edu.bench.timing import alternate
from tinygrad_edu.bench.training import main
from tinygrad_edu.bench.workloads import WORKLOADS

__all__ = ["WORKLOADS", "alternate", "main"]
