"""The plugin face: names and lazy factories, nothing heavy."""

from tinygrad_edu.hookspecs import Project, hookimpl


def make_backend():
    """NumPy under another name."""
    from tinygrad_edu_stranger.backend import StrangerBackend

    return StrangerBackend()


def load_line(*, slope: float = 2.0):
    """Sixty-four points on a line."""
    from tinygrad_edu_stranger.line import line

    return line(slope)


@hookimpl
def register_backends():
    return {"stranger": make_backend}


@hookimpl
def register_datasets():
    return {"line": load_line}


@hookimpl
def register_projects():
    return {"fit-line": Project("tinygrad_edu_stranger.fit_line", chapter="0", summary="Fit a line to points")}
