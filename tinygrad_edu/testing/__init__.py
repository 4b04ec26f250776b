"""Tools that hold a function's gradients against finite differences and against torch; the backends' conformance suite.

`pytest --pyargs tinygrad_edu.testing --tg-backend NAME` runs that suite on a backend, anybody's.
"""

from tinygrad_edu.testing.check import check
from tinygrad_edu.testing.compare import compare_with_torch
from tinygrad_edu.testing.gradcheck import gradcheck

__all__ = ["check", "compare_with_torch", "gradcheck"]
