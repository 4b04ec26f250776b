"""What schemathesis cannot know from a schema: how a PNG looks. Named by SCHEMATHESIS_HOOKS."""

from __future__ import annotations

import io

import schemathesis
from hypothesis import strategies as st
from PIL import Image


def png(size: tuple[int, int], grey: int) -> bytes:
    """A grey picture."""
    out = io.BytesIO()
    Image.new("L", size, grey).save(out, "PNG")
    return out.getvalue()


sizes = st.tuples(st.integers(1, 50), st.integers(1, 50))
schemathesis.openapi.media_type("image/png", st.builds(png, sizes, st.integers(0, 255)))
