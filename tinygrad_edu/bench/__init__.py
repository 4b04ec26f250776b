"""Training steps timed side by side with torch and others: `tinygrad-edu bench [NAME ...]`."""

from tinygrad_edu.bench.timing import alternate, main
from tinygrad_edu.bench.workloads import WORKLOADS

__all__ = ["WORKLOADS", "alternate", "main"]
