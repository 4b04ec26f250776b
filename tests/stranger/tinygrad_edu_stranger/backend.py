"""A backend of one's own: here NumPy's, with every matrix product counted."""

from tinygrad_edu.backends.numpy_backend import NumpyBackend


class StrangerBackend(NumpyBackend):
    """Does what NumPy does, and counts its matrix products."""

    name = "stranger"
    products = 0

    def matmul(self, x, y):
        self.products += 1
        return super().matmul(x, y)
